//! Programs that nobody here wrote, against the real service over HTTP. Where one is not installed, its tests
//! are skipped, and say so.

mod consul_clients;
mod curl;
mod prometheus;
mod schemathesis;
mod traefik;
mod vmagent;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::Value;

use crate::common::{PATIENCE, free_port};

/// An address of loopback at which nothing listens.
fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// The status and the body of what a program answers to a request for this host; `None` while it does not.
fn get(address: SocketAddr, host: &str, target: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    let request = format!("GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A member of each target that a scraper has now, in the form of Prometheus' API; `None` while it does not
/// answer.
fn targets(scraper: SocketAddr, member: &str) -> Option<Vec<Value>> {
    // While it starts, it answers with 503.
    let (_, body) =
        get(scraper, "localhost", "/api/v1/targets").filter(|(status, _)| *status == 200)?;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let targets = answer["data"]["activeTargets"].as_array().expect("targets");
    Some(
        targets
            .iter()
            .map(|target| target[member].clone())
            .collect(),
    )
}

/// A server that answers every request with this text, as long as the tests run.
fn server(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    request.extend_from_slice(&buffer[..n]);
                    if request.ends_with(b"\r\n\r\n") {
                        break;
                    }
                }
                let len = text.len();
                let head = "HTTP/1.1 200 OK\r\nConnection: close";
                let _ = write!(stream, "{head}\r\nContent-Length: {len}\r\n\r\n{text}");
            });
        }
    });
    address
}
