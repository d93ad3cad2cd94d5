//! Rate limits for log lines that peers can cause. Suppressed lines are counted.

use std::fmt;

use super::Moment;

/// Passes one line per interval and counts the lines that it suppresses.
#[derive(Debug)]
pub struct RateLimit {
    quiet_ms: u64,
    said_at: Option<Moment>,
    suppressed: u64,
}

impl RateLimit {
    /// A limit of one line in `quiet_ms` milliseconds.
    #[must_use]
    pub const fn new(quiet_ms: u64) -> Self {
        RateLimit {
            quiet_ms,
            said_at: None,
            suppressed: 0,
        }
    }

    /// `None` when the line is suppressed, otherwise the number suppressed since the last line.
    pub fn pass(&mut self, now: Moment) -> Option<Suppressed> {
        let too_soon = |at| now.millis_since(at) < self.quiet_ms;
        if self.said_at.is_some_and(too_soon) {
            self.suppressed += 1;
            return None;
        }
        self.said_at = Some(now);
        Some(Suppressed(std::mem::take(&mut self.suppressed)))
    }
}

/// How many lines of the same kind were suppressed, as a suffix of the next line that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suppressed(u64);

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} more of this kind)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_a_while_and_tells_how_many_did_not() {
        let mut limit = RateLimit::new(1_000);
        let mut pass = |ms| limit.pass(Moment::from_millis(ms)).map(|s| s.to_string());
        assert_eq!(pass(0).as_deref(), Some(""));
        assert_eq!(pass(1), None);
        assert_eq!(pass(999), None);
        assert_eq!(pass(1_000).as_deref(), Some(" (2 more of this kind)"));
        assert_eq!(pass(1_500), None);
        assert_eq!(pass(9_000).as_deref(), Some(" (1 more of this kind)"));
        assert_eq!(pass(10_000).as_deref(), Some(""));
    }
}
