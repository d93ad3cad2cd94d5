//! Frames, built and parsed.

use std::net::SocketAddr;

use super::client::Client;

/// A received frame, parsed.
#[derive(Debug, PartialEq)]
pub struct Frame {
    pub header: serde_json::Value,
    pub content: String,
}

impl Frame {
    /// Parses bytes that must be exactly one frame, with the header that the protocol prescribes.
    pub fn parse(bytes: &[u8]) -> Self {
        let (prefix, rest) = bytes
            .split_at_checked(2)
            .unwrap_or_else(|| panic!("no frame: {bytes:?}"));
        let header_len = usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
        let header: serde_json::Value =
            serde_json::from_slice(&rest[..header_len]).expect("a JSON header");
        let content = String::from_utf8(rest[header_len..].to_vec()).expect("UTF-8");
        assert_eq!(header["byteorder"], "little");
        assert_eq!(header["content-encoding"], "utf-8");
        assert_eq!(header["content-length"], content.len());
        Frame { header, content }
    }
}

/// The bytes of a frame with this content.
pub fn frame(content: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8", "content-length": {}}}"#,
        content.len()
    );
    raw_frame(&header, content.as_bytes())
}

/// The bytes of a frame with this header and this content.
pub fn raw_frame(header: &str, content: &[u8]) -> Vec<u8> {
    let mut frame = (header.len() as u16).to_be_bytes().to_vec();
    frame.extend(header.bytes());
    frame.extend(content);
    frame
}

/// Sends bytes on a new connection; returns everything that is answered until the service closes.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(address);
    client.send(bytes);
    client.rest()
}

/// Sends a frame with this content; returns the frame that answers it.
pub fn ask_frame(address: SocketAddr, content: &str) -> Frame {
    Frame::parse(&exchange(address, &frame(content)))
}
