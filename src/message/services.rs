//! The services of one type as their askers get them.

use std::cell::OnceCell;
use std::rc::Rc;

use super::{ServiceAddress, json};

/// The live services of one type as a JSON array on one line, oldest registration first.
///
/// It is built once for a state of the type and shared by all who wait for it.
#[derive(Debug)]
pub struct Services {
    array: Rc<Vec<u8>>,
    json_string: OnceCell<Rc<Vec<u8>>>,
}

impl Services {
    /// The array of these addresses.
    pub fn new(addresses: impl Iterator<Item = ServiceAddress>) -> Self {
        let mut array = Vec::with_capacity(addresses.size_hint().0.saturating_mul(48) + 2);
        array.push(b'[');
        for address in addresses {
            if array.len() > 1 {
                array.push(b',');
            }
            array.push(b'{');
            json::push_address(&mut array, address);
            array.push(b'}');
        }
        array.push(b']');
        array.shrink_to_fit();
        Services {
            array: Rc::new(array),
            json_string: OnceCell::new(),
        }
    }

    /// The array as it stands in a text answer, without a line end.
    #[must_use]
    pub fn array(&self) -> &Rc<Vec<u8>> {
        &self.array
    }

    /// A JSON string whose value is the array: what frame clients decode twice.
    /// Made on first use.
    pub fn json_string(&self) -> &Rc<Vec<u8>> {
        self.json_string.get_or_init(|| {
            // The array holds addresses, digits and punctuation: only quotes need escaping.
            let quotes = memchr::memchr_iter(b'"', &self.array).count();
            let mut string = Vec::with_capacity(self.array.len() + quotes + 2);
            string.push(b'"');
            for &byte in self.array.iter() {
                if byte == b'"' {
                    string.push(b'\\');
                }
                string.push(byte);
            }
            string.push(b'"');
            Rc::new(string)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_one_array_and_a_json_string_of_it() {
        let addresses = [("127.0.0.1", 65_433), ("::1", 80)];
        let services = Services::new(
            addresses
                .iter()
                .map(|&(ip, port)| ServiceAddress::new(ip, port).unwrap()),
        );
        let array = br#"[{"ip":"127.0.0.1","port":65433},{"ip":"::1","port":80}]"#;
        assert_eq!(&services.array()[..], array);
        let decoded: String = serde_json::from_slice(services.json_string()).unwrap();
        assert_eq!(decoded.as_bytes(), array);
        assert_eq!(&Services::new(std::iter::empty()).array()[..], b"[]");
    }
}
