//! What the answers of a server mean.

use serde::de::DeserializeOwned;

/// Whether a server has found nothing.
pub(super) fn is_none(answer: &str) -> bool {
    matches!(answer, "[]" | "NOT FOUND")
}

pub(super) fn found(answer: &str) -> Option<bool> {
    match answer {
        "OK" => Some(true),
        "NOT FOUND" => Some(false),
        _ => None,
    }
}

/// A JSON document of the expected shape. It is read as bytes, as all other JSON is, so that the reader of
/// each shape is compiled once.
pub(super) fn parse<T: DeserializeOwned>(answer: &str) -> Option<T> {
    serde_json::from_slice(answer.as_bytes()).ok()
}

pub(super) fn is_uuid(text: &str) -> bool {
    crate::message::parse_uuid(text).is_some()
}
