//! Durations as Go writes them, such as `1m30s`.

/// Milliseconds of a duration; 0 for a negative one. `None` for what is none.
pub(super) fn parse_ms(text: &str) -> Option<u64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let ms = if digits == "0" { 0.0 } else { sum(digits)? };
    Some(if is_negative { 0 } else { ms as u64 })
}

fn sum(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut ms = 0.0;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c))?);
        let unit_len = after.find(is_number).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        ms += number.parse::<f64>().ok()? * unit_ms(unit)?;
        rest = after;
    }
    (!text.is_empty()).then_some(ms)
}

fn unit_ms(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-6,
        "us" | "µs" | "μs" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3600e3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, ms) in [
            ("120000ms", 120_000),
            ("525s", 525_000),
            ("1m0s", 60_000),
            ("1.5s", 1_500),
            ("1h", 3_600_000),
            ("2000000ns", 2),
            ("5us", 0),
            ("0", 0),
            ("-5s", 0),
            ("+5s", 5_000),
            ("1000h", 3_600_000_000),
            ("99999999999999999h", u64::MAX),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
        for wrong in [
            "", "5", "s", "5x", "1s5", ".s", "1..5s", "NaNs", "infs", " 5s", "5 s", "-",
        ] {
            assert_eq!(parse_ms(wrong), None, "{wrong}");
        }
    }
}
