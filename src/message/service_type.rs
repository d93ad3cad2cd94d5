//! The names of kinds of services.

use std::borrow::Cow;

use super::Refusal;
use crate::ascii::graphic_len;
use crate::limits::TYPE_LEN_MAX;

/// The name of a kind of service: 1 to 63 bytes without white space or control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceType<'a>(pub(super) Cow<'a, str>);

impl<'a> ServiceType<'a> {
    /// Takes a name as it came from a client.
    ///
    /// # Errors
    /// A [`Refusal`] that says which rule the name breaks.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, Refusal> {
        let name = name.into();
        if name.is_empty() {
            return Err(Refusal::TypeEmpty);
        }
        if name.len() > TYPE_LEN_MAX {
            return Err(Refusal::TypeTooLong);
        }
        // Nearly all names are of these characters.
        let plain = graphic_len(name.as_bytes()) == name.len();
        if !plain && name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Refusal::TypeCharacter);
        }
        Ok(ServiceType(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_1_to_63_bytes_without_white_space_or_control_characters() {
        for name in [
            "a",
            "hive",
            "web/API_v2.1",
            "ß",
            "日本語",
            &"x".repeat(63),
            &"é".repeat(31),
        ] {
            assert_eq!(ServiceType::new(name).unwrap().as_str(), name);
        }
        assert_eq!(ServiceType::new(""), Err(Refusal::TypeEmpty));
        assert_eq!(ServiceType::new("x".repeat(64)), Err(Refusal::TypeTooLong));
        assert_eq!(ServiceType::new("é".repeat(32)), Err(Refusal::TypeTooLong));
        for name in [
            "a b",
            "a\tb",
            "a\u{a0}b",
            "a\u{2028}b",
            "a\nb",
            "a\0",
            "\u{1b}[31m",
            "a\u{7f}",
            "a\u{85}",
        ] {
            assert_eq!(
                ServiceType::new(name),
                Err(Refusal::TypeCharacter),
                "{name:?}"
            );
        }
    }
}
