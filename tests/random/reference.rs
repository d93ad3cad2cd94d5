//! Decodes input as a connection does, and by a naive reading of the protocol.

use discovery_service::limits::{FRAME_LEN_MAX, LINE_LEN_MAX};
use discovery_service::message::{Refusal, Reply};
use discovery_service::wire::{Codec, Decoded};

/// The parts of commands and near-commands; line ends and blanks are more frequent.
pub const WORDS: [&[u8]; 76] = [
    b"deregister",
    b"hold",
    b"types",
    b"list",
    b"why",
    b"watch",
    b"stats",
    b"ping",
    b"help",
    b"quit",
    b"-",
    b"ttl=5",
    b"ttl=0",
    b"replace",
    b"max-age=10",
    b"register hive - 80 ttl=5 replace",
    b"hold hive - 80",
    b"query hive max-age=86400",
    b"heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6 hive - 80",
    b"deregister 3999da30-2a11-463a-be8e-6b2beca7bfe6",
    b"watch hive",
    b"list hive",
    b"register",
    b"heartbeat",
    b"query",
    b"auth",
    b"REGISTER",
    b"Query",
    b"hive",
    b"127.0.0.1",
    b"::1",
    b"fe80::1%1",
    b"0.0.0.0",
    b"80",
    b"0",
    b"65536",
    b"3999da30-2a11-463a-be8e-6b2beca7bfe6",
    b"GET / HTTP/1.1",
    b"HTTP/",
    b"PROXY TCP4 a b",
    b"\x16\x03",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r\n",
    b"\r",
    b" ",
    b" ",
    b"\t",
    b"\0",
    b"\0\r\n",
    b"QUIT",
    b"\x1b",
    b"\x7f",
    b"\xff",
    b"\xc3\xa9",
    b"\xc3",
    b"\xc2\x85",
    b"{\"",
    b"\\u0061",
    b":1,",
    b"register hive 127.0.0.1 80",
    b"REGISTER hive ::1 65535",
    b"register hive fe80::1%1 0",
    b"query hive",
    b"heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6",
    b"heartbeat x y",
    b"auth secret",
    b"bogus",
    b"\xa9",
    b"PROXY TCP4 a b 1 2",
    b"{",
    b"}",
    b"\"",
    b"\\ud800",
];

const VERBS: [&str; 14] = [
    "auth",
    "register",
    "hold",
    "heartbeat",
    "deregister",
    "query",
    "types",
    "list",
    "why",
    "watch",
    "stats",
    "ping",
    "help",
    "quit",
];

/// Decodes as a connection does: returns each command or refusal as text, in their order.
pub fn decode(pieces: &[&[u8]]) -> Vec<String> {
    let mut codec = Codec::default();
    let mut input = Vec::new();
    let mut seen = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let step = codec.decode(&input);
            let incomplete = step.decoded == Decoded::Incomplete;
            let consumed = step.consumed;
            if record(&mut seen, &codec, step.decoded) {
                return seen;
            }
            input.drain(..consumed);
            if incomplete {
                break;
            }
        }
        assert!(
            input.len() <= FRAME_LEN_MAX.max(LINE_LEN_MAX + 1),
            "{} bytes wait",
            input.len()
        );
    }
    let last = codec.finish(&input);
    record(&mut seen, &codec, last);
    seen
}

/// Records a decoded command as a complete text; `true` when the connection ends.
fn record(seen: &mut Vec<String>, codec: &Codec, decoded: Decoded<'_>) -> bool {
    let text = format!("{decoded:?}");
    let over = match decoded {
        Decoded::Incomplete => return false,
        Decoded::Command(_) => codec.ends_with(&Reply::Ok),
        Decoded::Refused(refusal) => codec.ends_with(&Reply::Refused(refusal)),
    };
    seen.push(text);
    over.is_some()
}

/// Decodes lines by a naive reading of the protocol, without the decoder's optimizations. Does not
/// recognize other protocols.
pub fn naive(input: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    let unfinished = lines.pop().unwrap_or_default();
    let whole = lines
        .into_iter()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for line in whole.chain([unfinished]) {
        let refused = |refusal: Refusal| format!("{:?}", Decoded::Refused(refusal));
        if line.len() > LINE_LEN_MAX {
            seen.push(refused(Refusal::LineTooLong));
            break;
        }
        let Ok(text) = std::str::from_utf8(line) else {
            seen.push(refused(Refusal::LineUtf8));
            continue;
        };
        if text.chars().any(|c| c != '\t' && c.is_control()) {
            seen.push(refused(Refusal::LineControl));
            continue;
        }
        let words: Vec<&str> = text
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            [] => {}
            // The unit tests of the messages check the meaning of well-formed lines.
            [verb, ..] if VERBS.iter().any(|v| v.eq_ignore_ascii_case(verb)) => {
                let behind_a_first_line = decode(&[b"query a\n", line]);
                seen.push(
                    behind_a_first_line
                        .last()
                        .expect("a command or a refusal")
                        .clone(),
                );
            }
            _ => seen.push(refused(Refusal::UnknownCommand)),
        }
    }
    seen
}

pub fn frame(content: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8", "content-length": {}}}"#,
        content.len()
    );
    [
        &(header.len() as u16).to_be_bytes()[..],
        header.as_bytes(),
        content,
    ]
    .concat()
}
