//! A client's connection, byte for byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// One connection. Reads and writes time out after [`PATIENCE`].
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the service accepts");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Client {
            stream,
            unread: Vec::new(),
        }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the service reads");
    }

    /// Sends; returns whether the connection still took it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line = self.unread.drain(..=end).take(end).collect();
                return String::from_utf8(line).expect("answers are text");
            }
            let mut buffer = [0; 16 * 1024];
            let n = self.stream.read(&mut buffer).expect("an answer");
            assert_ne!(
                n,
                0,
                "the service closed; unread: {:?}",
                String::from_utf8_lossy(&self.unread)
            );
            self.unread.extend(&buffer[..n]);
        }
    }

    /// Sends a command line and returns its answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\n"));
        self.line()
    }

    /// Registers a service and returns its UUID.
    pub fn register(&mut self, service_type: &str, ip: &str, port: u16) -> String {
        let uuid = self.ask(&format!("register {service_type} {ip} {port}"));
        assert!(is_uuid(&uuid), "{uuid}");
        uuid
    }

    /// Registers this many services of the type `hive` in one write.
    pub fn register_many(&mut self, count: usize) {
        self.send("register hive 10.0.0.1 80\n".repeat(count));
        for _ in 0..count {
            let uuid = self.line();
            assert!(is_uuid(&uuid), "{uuid}");
        }
    }

    pub fn end_input(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is open");
    }

    /// Everything until the service ends its output; panics at a reset.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.unread);
        self.stream
            .read_to_end(&mut bytes)
            .expect("an end, not a reset");
        bytes
    }

    /// Like `rest`, as text.
    pub fn text(&mut self) -> String {
        String::from_utf8(self.rest()).expect("answers are text")
    }

    /// Waits until the service closes, by an end or by a reset.
    pub fn wait_for_close(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the service does not close")
                }
                Err(_) => return,
            }
        }
    }

    /// Closes with a reset instead of an end.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("an option");
    }
}

/// Whether this is a UUID of version 4 in lower case with hyphens.
pub fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, &byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            19 => b"89ab".contains(&byte),
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// Replaces each UUID by `<uuid>`, so that transcripts can be compared byte for byte.
pub fn mask_uuids(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match rest.get(..36) {
            Some(word) if is_uuid(word) => {
                masked.push_str("<uuid>");
                rest = &rest[36..];
            }
            _ => {
                masked.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    masked
}
