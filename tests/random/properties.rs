//! Properties that hold for any bytes, each a function that panics where it does not. `fuzz.rs` calls them with
//! input from a seeded generator, and the targets in `tests/fuzz` with input from libFuzzer.

use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::model::{run, steps};
use crate::reference::{decode, naive};

/// Lines decode as the protocol describes it.
pub fn text_input(input: &[u8]) {
    // Behind a first line nothing is taken for the opening of another protocol.
    let input = [b"query a\n", input].concat();
    assert_eq!(decode(&[&input]), naive(&input));
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

/// Input decodes to the same in one piece, in any pieces, and byte by byte.
///
/// The first byte is the number of cuts; each of as many bytes is the place of one, in 256ths of the rest.
pub fn any_split(bytes: &[u8]) {
    let Some((&count, rest)) = bytes.split_first() else {
        return;
    };
    let (cuts, input) = rest.split_at(rest.len().min(usize::from(count)));
    let whole = decode(&[input]);
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
    assert_eq!(decode(&pieces), whole, "in pieces");
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(decode(&bytes), whole, "byte by byte");
}

/// The registry answers as a plain list does. The first byte is how many services it may hold, and the rest
/// are the steps.
pub fn registry_operations(bytes: &[u8]) {
    let Some((&services_max, rest)) = bytes.split_first() else {
        return;
    };
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    run(1 + u32::from(services_max % 12), hasher, steps(rest));
}
