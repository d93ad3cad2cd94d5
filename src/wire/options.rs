//! The options of commands: words of text, and parameters of HTTP.

use crate::message::{Labels, Refusal, Ttl, parse_limit};

/// The beginnings of the options; `replace` is the whole of it.
pub(super) const TTL: &str = "ttl=";
pub(super) const MAX_AGE: &str = "max-age=";
pub(super) const REPLACE: &str = "replace";
pub(super) const TAG: &str = "tag=";
pub(super) const META: &str = "meta.";
pub(super) const LIMIT: &str = "limit=";

/// The options of one command.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) ttl: Option<Ttl>,
    pub(super) max_age: Option<Ttl>,
    pub(super) replace: bool,
    pub(super) labels: Option<Box<Labels>>,
    pub(super) limit: Option<u32>,
}

impl Options {
    /// Parses options, of which the command has those that begin as the `known` ones.
    pub(super) fn parse(
        words: impl IntoIterator<Item: AsRef<str>>,
        known: &[&'static str],
    ) -> Result<Self, Refusal> {
        let mut options = Options::default();
        for word in words {
            options.add(word.as_ref(), known)?;
        }
        Ok(options)
    }

    /// Adds one option.
    pub(super) fn add(&mut self, word: &str, known: &[&'static str]) -> Result<(), Refusal> {
        let of_word = known.iter().find_map(|&name| {
            let value = word.strip_prefix(name)?;
            Some((name, value))
        });
        let Some((name, value)) = of_word else {
            return Err(Refusal::UnknownOption(word.into()));
        };
        self.set(name, value, word)
    }

    fn set(&mut self, name: &'static str, value: &str, word: &str) -> Result<(), Refusal> {
        let unknown = || Refusal::UnknownOption(word.into());
        let seconds = || Ttl::parse(value).ok_or(Refusal::OptionSeconds(name));
        let was_set = match name {
            TTL => self.ttl.replace(seconds()?).is_some(),
            MAX_AGE => self.max_age.replace(seconds()?).is_some(),
            LIMIT => self.limit.replace(parse_limit(value)?).is_some(),
            TAG => {
                self.labels.get_or_insert_default().add_tag(value)?;
                false
            }
            META => {
                let (key, value) = value.split_once('=').ok_or_else(unknown)?;
                self.labels.get_or_insert_default().add_pair(key, value)?;
                false
            }
            _ if value.is_empty() => std::mem::replace(&mut self.replace, true),
            _ => return Err(unknown()),
        };
        if was_set {
            return Err(Refusal::OptionTwice(name));
        }
        Ok(())
    }
}
