//! Properties that hold for any bytes, each a function that panics where it does not. `fuzz.rs` calls them with
//! input from a seeded generator, and the targets in `tests/fuzz` with input from libFuzzer.

use discovery_service::registry::KeyedHash;

use crate::etcd::heard;
use crate::model::{run, steps};
use crate::reference::{VERBS, decode, decode_any, decode_frequent, naive};

/// Lines decode as the protocol describes it.
pub fn text_input(input: &[u8]) {
    // Behind a first line nothing is taken for the opening of another protocol.
    for begin in [&b"query a\n"[..], b"\xef\xbb\xbfquery a\n"] {
        let input = [begin, input].concat();
        assert_eq!(decode(&[&input]), naive(&input));
    }
}

/// The openings of other protocols, each a whole line without its end.
const OPENINGS: [&str; 18] = [
    "GET /",
    "GET / http/1.1",
    "POST /x HTTP/1.1",
    "QUERY / HTTP/1.1",
    "HTTP/1.1 200 OK",
    "PROXY TCP4 a b 1 2",
    "CLIENT libcurl 7",
    "EHLO x",
    "HELO x",
    "LHLO x",
    "NICK x",
    "USER x",
    "STOMP",
    "CONNECT",
    "*1",
    "SSH-2.0-x",
    "REGISTER sip:x SIP/2.0",
    "RTSP/1.0 200 OK",
];

/// An opening of another protocol is refused, and whatever stands behind its line is never decoded. The first
/// byte chooses the opening, the second the case of its letters, the third what stands before and behind it.
pub fn foreign_opening(bytes: &[u8]) {
    let &[opening, case, around, ref rest @ ..] = bytes else {
        return;
    };
    let opening = OPENINGS[usize::from(opening) % OPENINGS.len()];
    let opening = match case % 3 {
        0 => opening.to_owned(),
        1 if !opening.starts_with("PROXY") => opening.to_ascii_lowercase(),
        _ => opening.to_ascii_uppercase(),
    };
    let befores: [&[u8]; 8] = [
        b"",
        b"\n",
        b"\r\n",
        b" \n\t",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\n",
        b"\xff\xfb\x18\xff\xfd\n",
        b"\r\n\xff\xfe\0",
    ];
    let before = befores[usize::from(around) % 8];
    let end = ["\n", "\r\n", " \n", "\t\r\n"][usize::from(around) / 8 % 4];
    let input = [before, opening.as_bytes(), end.as_bytes(), rest].concat();
    let seen = decode(&[&input]);
    let is_refused = matches!(
        seen.as_slice(),
        [only] if ["Refused(OtherHttp)", "Refused(OtherProtocol)", "Refused(Proxy)"].contains(&only.as_str())
    );
    assert!(is_refused, "{opening:?} was decoded as {seen:?}");
}

/// A line with one of our verbs and at most one argument is never taken for another protocol, whatever the case of
/// the verb: as a first line it decodes as it does behind another line. The first byte chooses the verb, the second
/// the case; the rest is the argument.
pub fn own_first_line(bytes: &[u8]) {
    let &[verb, case, ref argument @ ..] = bytes else {
        return;
    };
    let verb = VERBS[usize::from(verb) % VERBS.len()];
    let verb = if case % 2 == 0 {
        verb.to_owned()
    } else {
        verb.to_ascii_uppercase()
    };
    let argument: Vec<u8> = argument
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let line = [verb.as_bytes(), b" ", &argument, b"\n"].concat();
    assert_eq!(decode(&[&line]), naive(&line));
}

/// A frame gets one answer, and what is taken for a command is an object for another reader of JSON too.
pub fn frame_input(input: &[u8]) {
    if input.first().is_none_or(|&first| first >= 8) {
        return;
    }
    let seen = decode(&[input]);
    assert_eq!(seen.len(), 1, "one frame, one answer: {seen:?}");
    if seen[0].starts_with("Command") {
        let header_len = usize::from(u16::from_be_bytes([input[0], input[1]]));
        let (header, content) = input[2..].split_at(header_len);
        let header: serde_json::Value = serde_json::from_slice(header).expect("a header");
        let content_len = header["content-length"].as_u64().expect("a length");
        let content = &content[..content_len as usize];
        let content: serde_json::Value = serde_json::from_slice(content).expect("a content");
        assert!(content["action"].is_string());
    }
}

/// Input decodes to the same and is answered the same in one piece, in any pieces, and byte by byte, and where
/// what is frequent is taken as such.
///
/// The first byte is the number of cuts; each of as many bytes is the place of one, in 256ths of the rest.
pub fn any_split(bytes: &[u8]) {
    let Some((&count, rest)) = bytes.split_first() else {
        return;
    };
    let (cuts, input) = rest.split_at(rest.len().min(usize::from(count)));
    let whole = decode(&[input]);
    let pieces = pieces(input, cuts);
    assert_eq!(decode(&pieces), whole, "in pieces");
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(decode(&bytes), whole, "byte by byte");
    let whole = decode_any(&[input]);
    assert_eq!(decode_any(&pieces), whole, "in pieces, or HTTP");
    assert_eq!(decode_any(&bytes), whole, "byte by byte, or HTTP");
    assert_eq!(decode_frequent(&[input]), whole, "the short way");
    assert_eq!(decode_frequent(&pieces), whole, "in pieces, the short way");
}

/// `input` cut at these places, each in 256ths of it.
fn pieces<'a>(input: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts
        .iter()
        .map(|&cut| usize::from(cut) * (input.len() + 1) / 256)
        .collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for cut in cuts {
        pieces.push(&input[start..cut]);
        start = cut;
    }
    pieces.push(&input[start..]);
    pieces
}

/// A client of etcd makes the same of any answers in one piece, in any pieces, and byte by byte, and holds little.
///
/// The first byte is the number of cuts; each of as many bytes is the place of one in each segment. A byte 0xff ends
/// a segment.
pub fn etcd_answers(bytes: &[u8]) {
    let Some((&count, rest)) = bytes.split_first() else {
        return;
    };
    let (cuts, input) = rest.split_at(rest.len().min(usize::from(count)));
    let segments = || input.split(|&byte| byte == 0xff);
    let whole = heard(&segments().map(|segment| vec![segment]).collect::<Vec<_>>());
    let in_pieces: Vec<Vec<&[u8]>> = segments().map(|segment| pieces(segment, cuts)).collect();
    assert_eq!(heard(&in_pieces), whole, "in pieces");
    let bytes: Vec<Vec<&[u8]>> = segments()
        .map(|segment| segment.chunks(1).collect())
        .collect();
    assert_eq!(heard(&bytes), whole, "byte by byte");
}

/// The registry answers as a plain list does. The first byte is how many services it may hold, and the rest
/// are the steps.
pub fn registry_operations(bytes: &[u8]) {
    let Some((&services_max, rest)) = bytes.split_first() else {
        return;
    };
    let hasher = KeyedHash::new(0x5eed);
    run(1 + u32::from(services_max % 12), hasher, steps(rest));
}
