//! The codecs with input that is easily got wrong. Properties that hold for any input are in `properties.rs`.

use crate::reference::decode;
use discovery_service::message::{Refusal, Reply};
use discovery_service::wire::Codec;
use discovery_service::wire::output::Output;

/// The bytes of a frame with this content.
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

/// Inputs that once were decoded differently in pieces, and others that are easily got wrong.
#[test]
fn row_47_inputs_that_are_easily_got_wrong_decode_the_same_at_every_cut() {
    let long = |len: usize, end: &str| format!("{}{end}", "x".repeat(len)).into_bytes();
    let inputs = [
        b"\n\x16\x03\nquery a\n".to_vec(),
        b"\r\n\x16\x03\n".to_vec(),
        b"\x16\x03\n".to_vec(),
        b"\x16\n\x03\n".to_vec(),
        b"\xef\xbb\xbf\x16\x03\n".to_vec(),
        b"\xef\xbb\xbfquery a\n\xef\xbb\xbfquery a\n".to_vec(),
        b"\xef\xbb\nquery a\n".to_vec(),
        b"\xff\xfb\x18\xff\xfd\nquery a\n\xff\xfe\0query a".to_vec(),
        b"\xff\xfb\n\x16\x03\n".to_vec(),
        b"\xff\xfb\0g\0\n".to_vec(),
        b"\xff\xfb".to_vec(),
        b"\xff\xf4\xff\xfd\x06\nquery a\n".to_vec(),
        b"query \xff\xfb\x18a\n".to_vec(),
        b"g\0{\"byteorder\": \"little\"}\nquery a\n".to_vec(),
        b"\xff\0query a\n".to_vec(),
        b"\n\0\r\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\nquery a\n".to_vec(),
        b"\n\r\n\0\r\nquery a\n".to_vec(),
        b"\r\n\r\n\r\n\0\r\nquery a\n".to_vec(),
        b"GET / HTTP/1.1\r\nquery a\n".to_vec(),
        b"GET / HTTP/1.1".to_vec(),
        b"query a\r\r\n\r".to_vec(),
        long(1024, "\r\nquery a"),
        long(1024, "\rx\nquery a"),
        long(1024, "\r"),
        long(1025, "\nquery a"),
        long(1025, "\r\n"),
        frame(br#"{"action": "query", "type": "a"}"#),
        frame(b"{}"),
        b"\x00\x00rest".to_vec(),
        b"\x07".to_vec(),
        b"\x08\x00\n".to_vec(),
    ];
    for input in inputs {
        let whole = decode(&[&input]);
        for cut in 0..=input.len() {
            let (a, b) = input.split_at(cut);
            assert_eq!(
                decode(&[a, b]),
                whole,
                "{:?} cut at {cut}",
                String::from_utf8_lossy(&input)
            );
        }
    }
}

/// Found by the fuzz target `line_codec`.
#[test]
fn row_06_a_cr_behind_the_longest_line_is_data_when_the_input_ends() {
    let line = [b"x".repeat(1024), b"\r".to_vec()].concat();
    assert_eq!(decode(&[&line]), ["Refused(LineTooLong)"]);
    assert_eq!(decode(&[&line, b"\n"]), ["Refused(UnknownCommand)"]);
}

#[test]
fn row_14_a_content_nested_as_deep_as_it_fits_is_refused_without_growth_of_the_stack() {
    let deep = [
        "[".repeat(4096),
        format!("{{\"a\":{}", "[".repeat(4091)),
        format!("{}1{}", "{\"a\":".repeat(600), "}".repeat(600)),
    ];
    let small_stack = std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(move || {
            for content in deep {
                let seen = decode(&[&frame(content.as_bytes())]);
                assert_eq!(
                    seen,
                    ["Refused(Frame(\"the content is not a JSON object\"))"]
                );
            }
            // What is nested deeper does not fit, and is refused by its length.
            let seen = decode(&[&frame(&vec![b'['; 100_000])]);
            assert_eq!(
                seen,
                ["Refused(FrameTooLong(\"the content is longer than 4096 bytes\"))"]
            );
        });
    small_stack.expect("a thread").join().expect("no overflow");
}

#[test]
fn no_reason_needs_escaping_in_json_and_each_is_one_line() {
    let refusals = [
        Refusal::LineTooLong,
        Refusal::LineUtf8,
        Refusal::LineControl,
        Refusal::UnknownCommand,
        Refusal::TypeEmpty,
        Refusal::TypeTooLong,
        Refusal::TypeCharacter,
        Refusal::IpText,
        Refusal::IpZone,
        Refusal::IpUnspecified,
        Refusal::IpMulticast,
        Refusal::IpBroadcast,
        Refusal::IpLinkLocal,
        Refusal::Port,
        Refusal::OtherAddress,
        Refusal::RegistryFull,
        Refusal::TooManyConnections,
        Refusal::OtherHttp,
        Refusal::OtherProtocol,
        Refusal::Tls,
        Refusal::Proxy,
        Refusal::AuthenticationFailed,
        Refusal::AuthenticationRequired,
        Refusal::Uuid,
        Refusal::UuidVersion,
        Refusal::UuidTaken,
        Refusal::TooManyHolds,
        Refusal::Watching,
        Refusal::FrameByteOrder,
        Refusal::AnswerTooLong,
    ];
    let mut codec = Codec::default();
    codec.decode(b"\x00");
    for refusal in refusals {
        let reason = refusal.reason();
        assert_eq!(
            serde_json::to_string(&*reason).expect("a string"),
            format!("\"{reason}\"")
        );
        let mut output = Output::default();
        codec.encode(&Reply::Refused(refusal.clone()), &mut output);
        let bytes = output.front();
        let header_len = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let header: serde_json::Value =
            serde_json::from_slice(&bytes[2..2 + header_len]).expect("JSON");
        assert_eq!(header["error"].as_str(), Some(&*reason));
        assert_eq!(header["code"].as_str(), Some(refusal.code().name()));
    }
}
