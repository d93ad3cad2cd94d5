//! Splits documents of JSON into the elements of their lists, so that little is held however long a
//! document is.

use memchr::memchr2;

use super::http::Malformed;
use crate::limits::{ETCD_DEPTH_MAX, ETCD_ELEMENT_LEN_MAX};

/// Documents of JSON, one after the other, as they arrive.
///
/// An element is what stands in an outermost list of a document: lists inside of it belong to it.
/// What the document is around its elements is told last, with empty lists. Whether an element is
/// JSON is for its reader to say.
#[derive(Debug, Default)]
pub(super) struct Elements {
    element: Text,
    document: Text,
    /// Levels of nesting.
    depth: usize,
    /// The level of the outermost list, while inside of it.
    list: Option<usize>,
    in_string: bool,
    /// The next byte of the string stands behind a backslash.
    is_escaped: bool,
    /// What was found last. It is cleared before the next is.
    found: Option<Found>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An element.
    Element,
    /// An element that is longer than what is held of one, and is skipped.
    TooLong,
    /// The end of a document.
    Document,
}

/// Bytes that are held, or that they are too many.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > ETCD_ELEMENT_LEN_MAX {
            self.is_too_long = true;
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.is_too_long
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.is_too_long = false;
    }
}

impl Elements {
    /// The text of what was found last.
    pub(super) fn text(&self) -> &[u8] {
        match self.found {
            Some(Found::Element) => &self.element.bytes,
            Some(Found::Document) => &self.document.bytes,
            Some(Found::TooLong) | None => &[],
        }
    }

    /// Bytes of memory for what is held.
    pub(super) fn memory_len(&self) -> usize {
        self.element.bytes.capacity() + self.document.bytes.capacity()
    }

    /// Reads `input` to the first element or end of a document. Returns how many bytes were read,
    /// and what was found. An error where what comes is no document, is nested too deep, or is too
    /// long around its elements.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<(usize, Option<Found>), Malformed> {
        self.forget();
        let mut at = 0;
        while at < input.len() {
            if self.in_string {
                at += self.take_string(&input[at..]);
                continue;
            }
            let byte = input[at];
            if self.ends_element(byte) {
                let is_too_long = self.element.is_too_long;
                self.found = Some(if is_too_long {
                    Found::TooLong
                } else {
                    Found::Element
                });
                return Ok((at, self.found));
            }
            at += 1;
            self.take_byte(byte)?;
            if self.document.is_too_long {
                return Err(Malformed("a document is too long around its elements"));
            }
            if self.depth == 0 && !self.document.is_empty() {
                self.found = Some(Found::Document);
                return Ok((at, self.found));
            }
        }
        Ok((at, None))
    }

    fn forget(&mut self) {
        match self.found.take() {
            Some(Found::Element | Found::TooLong) => self.element.clear(),
            Some(Found::Document) => self.document.clear(),
            None => {}
        }
    }

    /// Whether this byte ends an element; it is read again when the element has been told.
    fn ends_element(&self, byte: u8) -> bool {
        let is_end = matches!(byte, b',' | b']') && self.list == Some(self.depth);
        is_end && !self.element.is_empty()
    }

    /// Reads a string to its end, or to an escape. Returns how many bytes that are.
    fn take_string(&mut self, input: &[u8]) -> usize {
        if self.is_escaped {
            self.is_escaped = false;
            self.push(&input[..1]);
            return 1;
        }
        let end = memchr2(b'"', b'\\', input);
        let used = end.map_or(input.len(), |end| end + 1);
        self.push(&input[..used]);
        if let Some(end) = end {
            self.is_escaped = input[end] == b'\\';
            self.in_string = self.is_escaped;
        }
        used
    }

    fn take_byte(&mut self, byte: u8) -> Result<(), Malformed> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Ok(()),
            b'{' => self.open()?,
            _ if self.depth == 0 => return Err(Malformed("what came is no object of JSON")),
            b'[' => {
                self.open()?;
                if self.list.is_none() {
                    self.document.push(b"[");
                    self.list = Some(self.depth);
                    return Ok(());
                }
            }
            b'}' if self.list == Some(self.depth) => return Err(Malformed("a list does not end")),
            b'}' | b']' => {
                if self.list == Some(self.depth) {
                    self.list = None;
                }
                self.depth -= 1;
            }
            b',' if self.list == Some(self.depth) => return Ok(()),
            b'"' => self.in_string = true,
            _ => {}
        }
        self.push(&[byte]);
        Ok(())
    }

    fn open(&mut self) -> Result<(), Malformed> {
        if self.depth == ETCD_DEPTH_MAX {
            return Err(Malformed("an answer is nested too deep"));
        }
        self.depth += 1;
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) {
        let text = match self.list {
            Some(_) => &mut self.element,
            None => &mut self.document,
        };
        text.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in input that arrives in pieces of this length.
    fn found(input: &[u8], piece: usize) -> Result<Vec<String>, Malformed> {
        let (mut elements, mut seen) = (Elements::default(), Vec::new());
        for mut piece in input.chunks(piece) {
            while !piece.is_empty() {
                let (used, found) = elements.take(piece)?;
                piece = &piece[used..];
                if let Some(found) = found {
                    let text = String::from_utf8_lossy(elements.text());
                    seen.push(format!("{found:?} {text}"));
                }
                assert!(elements.memory_len() <= 4 * ETCD_ELEMENT_LEN_MAX);
            }
        }
        Ok(seen)
    }

    #[test]
    fn elements_are_told_one_by_one_and_the_document_around_them_last() {
        let input = br#"{"a": {"b": [{"c": [1, 2]}, "x,]\"}", 3 ,[4]], "d": []}, "e": "[1]"}
            {"f":true}"#;
        let expected = [
            r#"Element {"c":[1,2]}"#,
            r#"Element "x,]\"}""#,
            "Element 3",
            "Element [4]",
            r#"Document {"a":{"b":[],"d":[]},"e":"[1]"}"#,
            r#"Document {"f":true}"#,
        ];
        for piece in [1, 2, 3, 7, 1_000] {
            let found = found(input, piece).expect("it is well-formed");
            assert_eq!(found, expected, "pieces of {piece}");
        }
    }

    #[test]
    fn row_61_an_element_that_is_too_long_is_skipped_and_those_around_it_are_told() {
        let fits = "x".repeat(ETCD_ELEMENT_LEN_MAX - 2);
        let input = format!(r#"{{"a":[1,"{fits}","{fits}x",2]}}"#);
        let seen = found(input.as_bytes(), 999).expect("it is well-formed");
        let element = format!("Element \"{fits}\"");
        let expected = [
            "Element 1",
            &element,
            "TooLong ",
            "Element 2",
            "Document {\"a\":[]}",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_no_document_is_an_error_at_once_and_so_is_one_without_end() {
        let long = format!(r#"{{"a":"{}"#, "x".repeat(2 * ETCD_ELEMENT_LEN_MAX));
        let deep = format!("{{\"a\":{}", "[".repeat(ETCD_DEPTH_MAX));
        for input in [
            "404 page not found",
            "[1]",
            "}",
            "]",
            "\"a\"",
            "{\"a\":[1}",
            &deep,
        ] {
            assert!(found(input.as_bytes(), 1).is_err(), "{input}");
        }
        let read = found(format!("{long}\"}}").as_bytes(), 1_000);
        assert!(read.is_err(), "a document that is too long");
    }
}
