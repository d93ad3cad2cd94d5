//! A client of HTTP/1.1 that reads what the service sends and nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::common::{PATIENCE, Service};

/// One connection.
pub struct HttpClient {
    stream: TcpStream,
    host: String,
    unread: Vec<u8>,
}

/// An answer; of a stream, its head.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the field with this name, which is in the answer once at most.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        let again = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
        assert!(again.is_none(), "{name} stands twice");
        Some(value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The index that clients of Consul follow.
    pub fn index(&self) -> u64 {
        let index = self.field("X-Consul-Index").expect("an index");
        assert_eq!(self.field("X-Consul-KnownLeader"), Some("true"));
        assert_eq!(self.field("X-Consul-LastContact"), Some("0"));
        index.parse().expect("a number")
    }
}

impl HttpClient {
    pub fn connect(service: &Service) -> Self {
        let address = service.address();
        let stream = TcpStream::connect(address).expect("the service accepts");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        HttpClient {
            stream,
            host: address.to_string(),
            unread: Vec::new(),
        }
    }

    pub fn get(&mut self, target: &str) -> Response {
        self.ask("GET", target, &[], "")
    }

    pub fn post(&mut self, target: &str, body: &str) -> Response {
        self.ask("POST", target, &[], body)
    }

    pub fn ask(&mut self, method: &str, target: &str, fields: &[&str], body: &str) -> Response {
        self.start(method, target, fields, body);
        self.response(method == "HEAD")
    }

    /// Sends a request, and does not read the answer.
    pub fn start(&mut self, method: &str, target: &str, fields: &[&str], body: &str) {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for field in fields {
            request += &format!("{field}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        self.send(format!("{request}\r\n{body}"));
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the service reads");
    }

    /// The connection, to be written to while another thread reads.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a second handle")
    }

    pub fn shut(&mut self) {
        self.stream
            .shutdown(std::net::Shutdown::Write)
            .expect("it is open");
    }

    /// Reads more; `false` at the end of input.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(n) => {
                self.unread.extend_from_slice(&buffer[..n]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!(
                "{error}; unread: {:?}",
                String::from_utf8_lossy(&self.unread)
            ),
        }
    }

    fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self
                .unread
                .windows(end.len())
                .position(|bytes| bytes == end);
            if let Some(at) = found {
                let bytes = self.unread.drain(..at + end.len()).collect::<Vec<u8>>();
                return bytes[..at].to_vec();
            }
            let unread = String::from_utf8_lossy(&self.unread).into_owned();
            assert!(self.read_more(), "the input ends after {unread:?}");
        }
    }

    fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.unread.len() < len {
            assert!(self.read_more(), "the input ends inside a body");
        }
        self.unread.drain(..len).collect()
    }

    /// The head of the next answer.
    pub fn head(&mut self) -> Response {
        let head = String::from_utf8(self.until(b"\r\n\r\n")).expect("text");
        let mut lines = head.split("\r\n");
        let line = lines.next().expect("a status line");
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .unwrap_or_else(|| panic!("{line:?}"));
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?}"));
            (name.to_owned(), value.to_owned())
        });
        Response {
            status: status[..3].parse().expect("a status"),
            fields: fields.collect(),
            body: Vec::new(),
        }
    }

    /// The next answer.
    pub fn response(&mut self, is_head: bool) -> Response {
        let mut response = self.head();
        if is_head || response.status == 100 || response.status == 304 {
            return response;
        }
        let len = response.field("Content-Length").map(str::to_owned);
        match len {
            Some(len) => response.body = self.exactly(len.parse().expect("a length")),
            None => {
                assert_eq!(response.field("Transfer-Encoding"), Some("chunked"));
                while let Some(chunk) = self.chunk() {
                    response.body.extend_from_slice(&chunk);
                }
            }
        }
        response
    }

    /// The next chunk; `None` at the end of the body.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let len = String::from_utf8(self.until(b"\r\n")).expect("text");
        let len = usize::from_str_radix(&len, 16).unwrap_or_else(|_| panic!("{len:?}"));
        let chunk = self.exactly(len);
        assert_eq!(self.exactly(2), b"\r\n");
        (len > 0).then_some(chunk)
    }

    /// The next chunk, which is a line with a JSON object.
    pub fn line(&mut self) -> Value {
        let chunk = self.chunk().expect("the stream goes on");
        assert_eq!(chunk.last(), Some(&b'\n'));
        serde_json::from_slice(&chunk).expect("an object")
    }

    /// Everything that comes until the service closes the connection.
    pub fn rest(&mut self) -> String {
        while self.read_more() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.unread)).into_owned()
    }

    /// Whether nothing comes for this time.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("an option");
        let mut buffer = [0; 1];
        let result = self.stream.read(&mut buffer);
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("an option");
        let waited = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
        self.unread.is_empty() && result.is_err_and(|error| waited(error.kind()))
    }
}
