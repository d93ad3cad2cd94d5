//! The lines that nearly all are, in their usual form: in lower case, with single blanks and without options.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::words::{plain_line, plain_word, text};
use crate::message::{Frequent, Offer};

/// The front of a heartbeat in its usual form.
pub(super) const HEARTBEAT: &[u8] = b"heartbeat ";
/// Bytes of a heartbeat in its usual form, with its line feed.
pub const HEARTBEAT_LEN: usize = HEARTBEAT.len() + Hyphenated::LENGTH + 1;

/// Parsing the UUID checks all its bytes, so the line needs no other check.
#[inline]
pub(super) fn plain_heartbeat(line: &[u8]) -> Option<Uuid> {
    let word = line.strip_prefix(HEARTBEAT)?.strip_suffix(b"\n")?;
    Uuid::try_parse_ascii(word).ok()
}

/// The front of a query in its usual form.
const QUERY: &[u8] = b"query ";

/// What no type can be called is not found, so the name needs no other check.
#[inline]
pub(super) fn plain_query(input: &[u8]) -> Option<(Frequent<'_>, usize)> {
    let (name, rest) = plain_word(input.strip_prefix(QUERY)?);
    let is_all = rest.first() == Some(&b'\n');
    is_all.then_some((Frequent::Query(name), QUERY.len() + name.len() + 1))
}

/// The front of a registration in its usual form.
const REGISTER: &[u8] = b"register ";

#[inline(never)]
pub(super) fn plain_register(input: &[u8]) -> Option<(Frequent<'_>, usize)> {
    let (line, len) = plain_line(input.strip_prefix(REGISTER)?)?;
    let line = text(line);
    let (service_type, rest) = line.split_at(plain_word(line.as_bytes()).0.len());
    let rest = rest.strip_prefix(' ')?;
    let (ip, rest) = rest.split_at(plain_word(rest.as_bytes()).0.len());
    let port = rest.strip_prefix(' ')?;
    let offer = Offer::parse(service_type, ip, port.as_bytes()).ok()?;
    Some((Frequent::Register(offer), REGISTER.len() + len))
}

#[cfg(test)]
mod tests {
    use crate::message::{Command, Credential, Frequent, Request};
    use crate::wire::text::{Decoder, HEARTBEAT_LEN};
    use crate::wire::{Decoded, Step};

    /// A decoder that has seen a line.
    fn begun() -> Decoder {
        let mut decoder = Decoder::default();
        let step = decoder.decode(b"ping\n");
        assert_eq!(step.consumed, 5);
        decoder
    }

    fn command(request: Request<'_>) -> Decoded<'_> {
        Decoded::Command(Command {
            credential: Credential::OfSession,
            request,
        })
    }

    /// What is taken for frequent must mean the same as any command; returns whether it was taken.
    fn check(input: &[u8]) -> bool {
        let Step { consumed, decoded } = begun().decode(input);
        if let Some(heartbeats) = begun().heartbeats(input, 1)
            && let [uuid] = heartbeats.uuids()
        {
            let heartbeat = Request::Heartbeat { uuid: Some(*uuid) };
            assert_eq!((consumed, decoded), (HEARTBEAT_LEN, command(heartbeat)));
            return true;
        }
        match begun().frequent(input) {
            None => false,
            Some((Frequent::Query(name), len)) => match decoded {
                Decoded::Command(Command {
                    credential: Credential::OfSession,
                    request:
                        Request::Query {
                            service_type,
                            max_age: None,
                            labels: None,
                            limit: None,
                        },
                }) => {
                    assert_eq!((service_type.as_str().as_bytes(), consumed), (name, len));
                    true
                }
                // The name is checked when it is looked up: no type has it.
                Decoded::Refused(_) => name.is_empty() || name.len() > 63,
                other => panic!("{other:?}"),
            },
            Some((Frequent::Register(offer), len)) => {
                let register = Request::Register {
                    offer,
                    ttl: None,
                    replace: false,
                    labels: None,
                };
                assert_eq!((consumed, decoded), (len, command(register)));
                true
            }
        }
    }

    #[test]
    fn what_is_taken_for_frequent_means_the_same_as_any_command() {
        let long = format!("query {}\n", "x".repeat(64));
        let lines = [
            "heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6\n",
            "query hive\n",
            "register hive 10.0.0.1 80\n",
            "register hive - 80\r\n",
            "register hive 2001:db8::1 65535\n",
            &long,
        ];
        for line in lines {
            assert!(check(line.as_bytes()), "{line:?}");
            for at in 0..line.len() {
                check(&line.as_bytes()[..at]);
                for byte in 0..=255_u8 {
                    let mut other = line.as_bytes().to_vec();
                    other[at] = byte;
                    other.extend(b"ping\n");
                    check(&other);
                    other.insert(at, byte);
                    check(&other);
                }
            }
        }
    }

    #[test]
    fn nothing_is_frequent_before_a_line_was_seen_or_amid_one() {
        let line = b"heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6\n";
        assert!(Decoder::default().heartbeats(line, 1).is_none());
        assert!(Decoder::default().frequent(b"query hive\n").is_none());
        let mut amid = begun();
        assert_eq!(amid.decode(&line[..20]).decoded, Decoded::Incomplete);
        assert!(amid.heartbeats(line, 1).is_none());
    }
}
