//! kill -9 under load, again and again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::Folder;
use crate::common::{Client, Service, frame, is_uuid};

const KILLS: u64 = 50;

/// One of the ways to change what is registered. `None` where the connection ends before the answer.
trait Way: Send {
    fn register(&mut self, port: u16) -> Option<String>;
    fn deregister(&mut self, uuid: &str) -> Option<()>;

    /// Waits until the connection ends.
    fn rest(&mut self) {}
}

/// Sends bytes, and reads until `is_whole`.
fn exchange(
    stream: &mut TcpStream,
    bytes: &[u8],
    is_whole: impl Fn(&[u8]) -> bool,
) -> Option<String> {
    stream.write_all(bytes).ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&answer) {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => answer.extend(&buffer[..n]),
            _ => return None,
        }
    }
    String::from_utf8(answer).ok()
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    Some(stream)
}

struct Text(TcpStream, &'static str);

impl Text {
    fn line(&mut self, line: &str) -> Option<String> {
        let line = format!("{line}\n");
        let answer = exchange(&mut self.0, line.as_bytes(), |answer| {
            answer.ends_with(b"\n")
        })?;
        Some(answer.trim_end().to_owned())
    }
}

impl Way for Text {
    fn rest(&mut self) {
        let _ = self.0.read(&mut [0; 64]);
    }

    fn register(&mut self, port: u16) -> Option<String> {
        let verb = self.1;
        self.line(&format!("{verb} {verb} 10.0.0.1 {port} ttl=86400 tag=a"))
    }

    fn deregister(&mut self, uuid: &str) -> Option<()> {
        let answer = self.line(&format!("deregister {uuid}"))?;
        assert_eq!(answer, "OK");
        Some(())
    }
}

struct Frames(SocketAddr);

impl Frames {
    fn ask(&self, content: &str) -> Option<String> {
        let mut stream = connect(self.0)?;
        stream.write_all(&frame(content)).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let header_len = usize::from(u16::from_be_bytes([*answer.first()?, *answer.get(1)?]));
        String::from_utf8(answer.get(2 + header_len..)?.to_vec()).ok()
    }
}

impl Way for Frames {
    fn register(&mut self, port: u16) -> Option<String> {
        let service = format!(r#""type": "frame", "ip": "10.0.0.1", "port": {port}"#);
        self.ask(&format!(
            r#"{{"action": "register", {service}, "ttl": 86400}}"#
        ))
    }

    fn deregister(&mut self, uuid: &str) -> Option<()> {
        let answer = self.ask(&format!(r#"{{"action": "deregister", "uuid": "{uuid}"}}"#))?;
        assert_eq!(answer, "OK");
        Some(())
    }
}

struct Http(TcpStream);

impl Http {
    fn post(&mut self, path: &str, body: &str) -> Option<Value> {
        let len = body.len();
        let request = format!(
            "POST /api/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        let answer = exchange(&mut self.0, request.as_bytes(), |bytes| {
            bytes.ends_with(b"}")
        })?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_str(body).ok()
    }
}

impl Way for Http {
    fn register(&mut self, port: u16) -> Option<String> {
        let service = format!(r#""type": "http", "ip": "10.0.0.1", "port": {port}"#);
        let answer = self.post("register", &format!(r#"{{{service}, "ttl": 86400}}"#))?;
        Some(answer["uuid"].as_str()?.to_owned())
    }

    fn deregister(&mut self, uuid: &str) -> Option<()> {
        self.post("deregister", &format!(r#"{{"uuid": "{uuid}"}}"#))?;
        Some(())
    }
}

/// What one client has registered, oldest first, with what nobody knows: whether its last request was run.
#[derive(Clone, Debug, Default)]
struct Expected {
    name: &'static str,
    registered: Vec<(u16, String)>,
    /// Registered, but not told so.
    perhaps_up: Option<u16>,
    /// Deregistered, but not told so.
    perhaps_down: Option<u16>,
    next_port: u16,
}

impl Expected {
    /// Registers `most`, and deregisters some if it `removes`, until the service is killed.
    fn run(
        mut self,
        mut way: impl Way + 'static,
        most: usize,
        removes: bool,
    ) -> JoinHandle<Expected> {
        std::thread::spawn(move || {
            for _ in 0..most {
                let port = self.next_port;
                self.next_port += 1;
                match way.register(port) {
                    Some(uuid) => {
                        assert!(is_uuid(&uuid), "{uuid}");
                        self.registered.push((port, uuid));
                    }
                    None => {
                        self.perhaps_up = Some(port);
                        return self;
                    }
                }
                if removes && !port.is_multiple_of(3) {
                    let at = usize::from(port) * 7 % self.registered.len();
                    let (port, uuid) = self.registered.remove(at);
                    if uuid.is_empty() {
                        self.registered.insert(at, (port, uuid));
                    } else if way.deregister(&uuid).is_none() {
                        self.registered.insert(at, (port, uuid));
                        self.perhaps_down = Some(port);
                        return self;
                    }
                }
            }
            way.rest();
            self
        })
    }

    /// Compares with what is there after a restart.
    fn check(&mut self, client: &mut Client) {
        let answer = client.ask(&format!("query {}", self.name));
        let services: Vec<Value> = serde_json::from_str(&answer).expect("an array");
        let there: Vec<u16> = services
            .iter()
            .map(|service| service["port"].as_u64().expect("a port") as u16)
            .collect();
        if let Some(port) = self.perhaps_down.take()
            && !there.contains(&port)
        {
            self.registered.retain(|(other, _)| *other != port);
        }
        if let Some(port) = self.perhaps_up.take()
            && there.contains(&port)
        {
            // Nobody was told its UUID.
            self.registered.push((port, String::new()));
        }
        let expected: Vec<u16> = self.registered.iter().map(|(port, _)| *port).collect();
        assert_eq!(there, expected, "{}", self.name);
    }
}

/// Holds everything again that was held, and returns the connection.
fn hold_again(address: SocketAddr, expected: &mut Expected) -> Text {
    let mut holder = Text(connect(address).expect("it listens"), "hold");
    for (port, uuid) in &mut expected.registered {
        *uuid = holder.register(*port).expect("it runs");
    }
    holder
}

fn expected(name: &'static str) -> Expected {
    Expected {
        name,
        next_port: 1,
        ..Expected::default()
    }
}

#[test]
fn row_60_everything_that_was_acknowledged_outlives_fifty_kills_under_load() {
    let folder = Folder::new();
    let mut clients = ["register", "frame", "http", "hold"].map(expected);
    for round in 0..KILLS {
        let service = folder.start(&[]);
        let address = service.address();
        let mut client = service.connect();
        clients
            .iter_mut()
            .for_each(|expected| expected.check(&mut client));
        // A watcher that comes back sees what was there, and nothing of those that hold it again.
        let mut watcher = service.connect();
        let snapshot: Value = serde_json::from_str(&watcher.ask("watch hold")).expect("a snapshot");
        let ids: Vec<&Value> = snapshot["services"].as_array().unwrap().iter().collect();
        assert_eq!(ids.len(), clients[3].registered.len());
        let mut holder = hold_again(address, &mut clients[3]);
        clients[3].check(&mut client);
        let port = clients[3].next_port;
        clients[3].next_port += 1;
        let uuid = holder.register(port).expect("it runs");
        clients[3].registered.push((port, uuid));
        let delta = watcher.line();
        assert!(delta.contains(&format!("\"port\":{port},")), "{delta}");
        assert!(delta.contains("\"down\":[]"), "{delta}");

        let [text, frames, http, hold] = clients;
        let stream = || connect(address).expect("it listens");
        let running = [
            text.run(Text(stream(), "register"), usize::MAX, true),
            frames.run(Frames(address), usize::MAX, true),
            http.run(Http(stream()), usize::MAX, true),
            hold.run(holder, 3, false),
        ];
        std::thread::sleep(Duration::from_millis(5 + round * 37 % 50));
        kill(service);
        clients = running.map(|thread| thread.join().expect("it was answered rightly"));
    }
    let total: usize = clients
        .iter()
        .map(|expected| expected.registered.len())
        .sum();
    assert!(total as u64 > KILLS, "{total} registrations");
}

fn kill(mut service: Service) {
    service.signal("KILL");
    service.wait();
}
