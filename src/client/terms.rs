//! The words of commands: how a registration is made, and which services a query asks for.

use super::{Error, Labels};

/// How a registration is made.
#[derive(Clone, Debug, Default)]
pub struct Register {
    /// The TTL in seconds; `None` for that of the service.
    pub ttl: Option<u32>,
    /// Whether it replaces all other registrations of its type at its address.
    pub replace: bool,
    /// Its tags and metadata.
    pub labels: Labels,
}

impl Register {
    /// The options of a command.
    ///
    /// # Errors
    /// [`Error::Argument`] for a tag or a value with white space in it, which a line cannot hold.
    pub(super) fn options(&self) -> Result<String, Error> {
        let ttl = self.ttl.map_or(String::new(), |ttl| format!(" ttl={ttl}"));
        let replace = if self.replace { " replace" } else { "" };
        Ok(format!("{ttl}{replace}{}", words(&self.labels)?))
    }
}

/// Which services a query asks for; all by default.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those whose last heartbeat is less than so many seconds old.
    pub max_age: Option<u32>,
    /// Those that have all of these.
    pub labels: Labels,
    /// At most so many of them, drawn at random; 1 to 4096.
    pub limit: Option<u32>,
}

impl Selection {
    /// The options of a command.
    pub(super) fn options(&self) -> Result<String, Error> {
        let option = |name: &str, value: Option<u32>| {
            value.map_or(String::new(), |value| format!(" {name}={value}"))
        };
        let max_age = option("max-age", self.max_age);
        let limit = option("limit", self.limit);
        Ok(format!("{max_age}{}{limit}", words(&self.labels)?))
    }
}

/// Tags and metadata as options of a command.
pub(super) fn words(labels: &Labels) -> Result<String, Error> {
    let mut words = String::new();
    for tag in labels.tags() {
        words += &format!(" tag={}", argument(tag)?);
    }
    for (key, value) in labels.meta() {
        let pair = format!("meta.{key}={value}");
        words += &format!(" {}", argument(&pair)?);
    }
    Ok(words)
}

/// An argument of a command. With white space in it, it would be several.
pub(super) fn argument(text: &str) -> Result<&str, Error> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::Argument(format!("{text:?}")));
    }
    Ok(text)
}

/// A command about one type or all.
pub(super) fn of_type_or_all(verb: &str, service_type: Option<&str>) -> Result<String, Error> {
    match service_type {
        Some(service_type) => Ok(format!("{verb} {}", argument(service_type)?)),
        None => Ok(verb.to_owned()),
    }
}
