//! Percent-encoding and the parameters of a query.
//!
//! The common decoders leave a `%` without two digits as it is, and decode bytes that are no text. Here
//! both are refused, so that no two readers see different names.

use std::borrow::Cow;

use crate::message::HttpRefusal;

/// What is before the first such ASCII byte, and what is after it. In short text, a search byte by byte costs
/// less than the one of the standard library.
pub(super) fn split_at_byte(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|other| other == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Decodes one part of a path.
pub(super) fn decode_path(text: &str) -> Result<Cow<'_, str>, HttpRefusal> {
    decode(text, |byte| byte)
}

/// The parameters of a query, in their order. In a query a `+` is a space.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = Result<Parameter<'_>, HttpRefusal>> {
    let mut rest = Some(query);
    let parts = std::iter::from_fn(move || {
        let (part, after) = match split_at_byte(rest?, b'&') {
            Some((part, after)) => (part, Some(after)),
            None => (rest?, None),
        };
        rest = after;
        Some(part)
    });
    parts.filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = split_at_byte(part, b'=').unwrap_or((part, ""));
        Ok(Parameter {
            text: part,
            name: decode_parameter(name)?,
            value: decode_parameter(value)?,
        })
    })
}

fn decode_parameter(text: &str) -> Result<Cow<'_, str>, HttpRefusal> {
    decode(text, |byte| if byte == b'+' { b' ' } else { byte })
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    text: &'a str,
    pub(super) name: Cow<'a, str>,
    pub(super) value: Cow<'a, str>,
}

impl<'a> Parameter<'a> {
    /// The parameter as an option of a text command: `name=value`.
    pub(super) fn word(&self) -> Cow<'a, str> {
        match (&self.name, &self.value) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(self.text),
            (name, value) => Cow::Owned(format!("{name}={value}")),
        }
    }
}

/// Decodes once, and takes bytes that are not encoded for what `plain` says.
fn decode(text: &str, plain: impl Fn(u8) -> u8) -> Result<Cow<'_, str>, HttpRefusal> {
    let bytes = text.as_bytes();
    if bytes
        .iter()
        .all(|&byte| byte != b'%' && plain(byte) == byte)
    {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            decoded.push(plain(*first));
            continue;
        }
        let [high, low, after @ ..] = after else {
            return Err(HttpRefusal::Encoding);
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            return Err(HttpRefusal::Encoding);
        };
        decoded.push((high * 16 + low) as u8);
        rest = after;
    }
    let decoded = String::from_utf8(decoded).map_err(|_| HttpRefusal::Encoding)?;
    if decoded.chars().any(char::is_control) {
        return Err(HttpRefusal::Encoding);
    }
    Ok(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_52_what_is_encoded_is_decoded_once_to_text_or_refused() {
        for (text, decoded) in [
            ("a", "a"),
            ("%61%2f%2F", "a//"),
            ("%2561", "%61"),
            ("%e2%82%ac", "€"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(decode_path(text).unwrap(), decoded, "{text}");
        }
        for wrong in [
            "%", "%6", "%zz", "%00", "%0a", "%7f", "%ff", "%c0%80", "%e2%82", "%+1",
        ] {
            assert_eq!(decode_path(wrong), Err(HttpRefusal::Encoding), "{wrong}");
        }
        let pairs: Result<Vec<_>, _> = parameters("a=1&&b=x+y&c&d=e=f&%3D=%26").collect();
        let pairs = pairs.unwrap();
        let seen: Vec<_> = pairs
            .iter()
            .map(|pair| (&*pair.name, &*pair.value))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", "1"),
                ("b", "x y"),
                ("c", ""),
                ("d", "e=f"),
                ("=", "&")
            ]
        );
        let words: Vec<_> = pairs.iter().map(|pair| pair.word()).collect();
        assert_eq!(words, ["a=1", "b=x y", "c", "d=e=f", "==&"]);
        assert!(parameters("a=%00").any(|pair| pair.is_err()));
    }
}
