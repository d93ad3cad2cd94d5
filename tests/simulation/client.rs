//! A client: what it sends, and what it must get for it.

use std::time::Duration;

use discovery_service::limits::{COMMAND_MS_MAX, LINE_LEN_MAX, LINGER_MS_MAX};
use discovery_service::message::{Refusal, Reply, Request};

use crate::net::Pipe;
use crate::rng::Rng;

/// A request and its answer, as text.
#[derive(Debug)]
pub struct Exchange {
    request: String,
    reply: String,
}

impl Exchange {
    pub fn new(request: &Request<'_>, reply: &Reply) -> Self {
        let request = match request {
            Request::Auth { token } => format!("auth {token}"),
            Request::Register { service_type, address } => {
                format!("register {} {} {}", service_type.as_str(), address.ip, address.port)
            }
            Request::Heartbeat { uuid: Some(uuid) } => format!("heartbeat {uuid}"),
            Request::Heartbeat { uuid: None } => "heartbeat ERROR".to_owned(),
            Request::Query { service_type } => format!("query {}", service_type.as_str()),
        };
        let reply = match reply {
            Reply::Registered(uuid) => uuid.to_string(),
            Reply::Ok => "OK".to_owned(),
            Reply::NotFound => "NOT FOUND".to_owned(),
            Reply::Services(services) => String::from_utf8_lossy(services.array()).into_owned(),
            Reply::Refused(refusal) => format!("ERROR {refusal}"),
        };
        Exchange { request, reply }
    }

    /// The UUID that was given out, if one was.
    pub fn uuid(&self) -> Option<String> {
        self.request.starts_with("register").then(|| self.reply.clone()).filter(|reply| reply.len() == 36)
    }
}

/// One thing that a client sends.
#[derive(Debug)]
enum Item {
    /// A request that the service must see as this text.
    Request(String),
    /// Answered with this line; the connection goes on.
    Refused(Refusal),
    /// Answered with this line; the connection ends, and nothing after it is run.
    Fatal(Refusal),
}

/// What a client's connection may have come to.
#[derive(Clone, Copy)]
pub struct Circumstances {
    pub now: Duration,
    pub idle_ms_max: Option<u64>,
    pub stopped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Frame,
}

pub struct Client {
    pub number: usize,
    rng: Rng,
    format: Format,
    /// The token that the service wants.
    token: Option<&'static str>,
    /// The token that was sent in a frame, beside its request.
    in_frame: Option<&'static str>,
    items: Vec<Item>,
    /// Bytes of the present command that are not sent yet.
    unsent: Vec<u8>,
    connected_at: Duration,
}

/// The token of the services that want one.
pub const TOKEN: &str = "open-sesame";
const WRONG_TOKEN: &str = "open-barley";

const TYPES: [&str; 4] = ["hive", "a", "web/1", "日本"];
const IPS: [&str; 4] = ["127.0.0.1", "10.0.0.7", "::1", "2001:db8::7"];

impl Client {
    pub fn new(number: usize, seed: u64, token: Option<&'static str>, now: Duration) -> Self {
        let mut rng = Rng::new(seed);
        let format = if rng.chance(25) { Format::Frame } else { Format::Text };
        let (items, unsent) = (Vec::new(), Vec::new());
        let mut client = Client { number, rng, format, token, in_frame: None, items, unsent, connected_at: now };
        if client.token.is_some() && client.rng.chance(80) {
            let right = client.rng.chance(90);
            client.show_token(if right { TOKEN } else { WRONG_TOKEN });
        }
        client
    }

    /// A client that registers, and nothing else.
    pub fn polite(number: usize, token: Option<&'static str>, now: Duration) -> Self {
        let mut client = Client::new(number, 0, None, now);
        client.format = Format::Text;
        client.token = token;
        if let Some(token) = token {
            client.show_token(token);
        }
        client.line(Item::Request("register hive 127.0.0.1 1".to_owned()), b"register hive 127.0.0.1 1");
        client
    }

    fn show_token(&mut self, token: &'static str) {
        match self.format {
            Format::Text => {
                let line = format!("auth {token}");
                self.line(Item::Request(line.clone()), line.as_bytes());
            }
            Format::Frame => self.in_frame = Some(token),
        }
    }

    /// The next bytes to send: part of a command, or several.
    pub fn next_bytes(&mut self, uuids: &[String]) -> Vec<u8> {
        if self.unsent.is_empty() {
            let commands = if self.rng.chance(20) { self.rng.between(1, 40) } else { 1 };
            for _ in 0..commands {
                self.add_command(uuids);
            }
        }
        let n = if self.rng.chance(30) { 1 + self.rng.index(self.unsent.len().max(1)) } else { self.unsent.len() };
        let n = n.min(self.unsent.len());
        self.unsent.drain(..n).collect()
    }

    /// The rest of the command that is half sent.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unsent)
    }

    /// What is unsent, and one more command.
    pub fn whole_commands(&mut self) -> Vec<u8> {
        self.add_command(&[]);
        self.rest()
    }

    /// Whether it is between two commands.
    pub fn is_finished(&self) -> bool {
        self.unsent.is_empty()
    }

    fn is_over(&self) -> bool {
        let frame_sent = self.format == Format::Frame && !self.items.is_empty();
        let failed = |item: &Item| matches!(item, Item::Request(request) if request.ends_with(WRONG_TOKEN));
        frame_sent || matches!(self.items.last(), Some(Item::Fatal(_))) || self.items.last().is_some_and(failed)
    }

    fn add_command(&mut self, uuids: &[String]) {
        if self.is_over() {
            // Whatever a client sends after the end must be dropped.
            if self.rng.chance(30) {
                self.unsent.extend(b"register late 127.0.0.1 9\nquery hive\n");
            }
            return;
        }
        let request = self.request(uuids);
        if self.format == Format::Frame {
            self.unsent.extend(frame(&request, self.in_frame));
            self.items.push(Item::Request(request));
            return;
        }
        match self.rng.below(100) {
            0..5 => self.unsent.extend(b"\r\n"),
            5..10 => self.line(Item::Refused(Refusal::UnknownCommand), b"bogus command"),
            10..13 => self.line(Item::Refused(Refusal::LineControl), b"query hi\0ve"),
            13..16 => self.line(Item::Refused(Refusal::LineUtf8), b"query \xff"),
            16..17 => self.line(Item::Fatal(Refusal::LineTooLong), &[b'x'; LINE_LEN_MAX + 1]),
            17..19 if self.items.is_empty() => self.line(Item::Fatal(Refusal::Http), b"GET / HTTP/1.1"),
            _ => {
                let text = request.clone();
                self.line(Item::Request(request), text.as_bytes());
            }
        }
    }

    fn line(&mut self, item: Item, bytes: &[u8]) {
        self.items.push(item);
        self.unsent.extend(bytes);
        self.unsent.extend(if self.rng.chance(30) { &b"\r\n"[..] } else { b"\n" });
    }

    fn request(&mut self, uuids: &[String]) -> String {
        let service_type = TYPES[self.rng.index(TYPES.len())];
        match self.rng.below(10) {
            0..3 => {
                let ip = IPS[self.rng.index(IPS.len())];
                format!("register {service_type} {ip} {}", self.rng.between(1, 65_535))
            }
            3..7 if !uuids.is_empty() => format!("heartbeat {}", uuids[self.rng.index(uuids.len())]),
            7 => "heartbeat ERROR".to_owned(),
            _ => format!("query {service_type}"),
        }
    }

    /// All that the client may get for what it has sent, as far as its requests have been run; and
    /// whether everything it has sent has been.
    fn expected(&self, log: Option<&Vec<Exchange>>) -> (Vec<u8>, bool) {
        let mut exchanges = log.into_iter().flatten();
        let mut admitted = self.token.is_none();
        let mut bytes = Vec::new();
        for item in &self.items {
            match item {
                Item::Refused(refusal) => {
                    let refusal = if admitted { *refusal } else { Refusal::AuthenticationRequired };
                    bytes.extend(format!("ERROR {refusal}\n").bytes());
                }
                Item::Fatal(refusal) => {
                    bytes.extend(format!("ERROR {refusal}\n").bytes());
                    break;
                }
                Item::Request(request) => {
                    let Some(mut exchange) = exchanges.next() else { return (bytes, false) };
                    if let Some(token) = self.in_frame {
                        assert_eq!(exchange.request, format!("auth {token}"));
                        if exchange.reply == "OK" {
                            let Some(second) = exchanges.next() else { return (bytes, false) };
                            exchange = second;
                        }
                    }
                    admitted |= exchange.request.starts_with("auth") && exchange.reply == "OK";
                    let refused = exchange.request.starts_with("auth") && exchange.reply != "OK";
                    assert!(refused || &exchange.request == request, "another request was run than was sent");
                    match self.format {
                        Format::Text => bytes.extend(format!("{}\n", exchange.reply).bytes()),
                        Format::Frame => bytes.extend(answer_frame(exchange)),
                    }
                }
            }
        }
        assert!(exchanges.next().is_none(), "more was run than was sent");
        (bytes, true)
    }

    /// What has arrived is the beginning of what must arrive.
    pub fn check_prefix(&self, pipe: &Pipe, log: Option<&Vec<Exchange>>) {
        let (expected, _) = self.expected(log);
        let refused = format!("ERROR {}\n", Refusal::TooManyConnections);
        if log.is_none() && refused.as_bytes().starts_with(&pipe.received) {
            return;
        }
        assert!(
            expected.starts_with(&pipe.received),
            "client {} got {:?} instead of {:?}; it sent {:?} and was answered {log:?}",
            self.number,
            String::from_utf8_lossy(&pipe.received),
            String::from_utf8_lossy(&expected),
            self.items
        );
    }

    /// Nothing is under way any more: what had to arrive has arrived.
    pub fn check_complete(&self, pipe: &Pipe, log: Option<&Vec<Exchange>>, circumstances: Circumstances) {
        let Circumstances { now, idle_ms_max, stopped } = circumstances;
        if pipe.reset || pipe.key.is_none() {
            return;
        }
        // Registry time counts whole milliseconds.
        let age_ms = (now - self.connected_at).as_millis() as u64 + 1;
        // Whoever was told the last word, or refused, has this long to read it.
        let told = self.is_over() || (log.is_none() && pipe.shut);
        let patience_ms = if told { LINGER_MS_MAX } else { COMMAND_MS_MAX };
        if pipe.closed && age_ms >= patience_ms.min(idle_ms_max.unwrap_or(u64::MAX)) {
            return;
        }
        let (expected, all_run) = self.expected(log);
        let refused = format!("ERROR {}\n", Refusal::TooManyConnections);
        if log.is_none() && pipe.received == refused.as_bytes() {
            assert!(pipe.shut || pipe.closed, "refused, but not closed");
            return;
        }
        if !self.is_finished() && !pipe.client_ended {
            // Its last command is half sent.
            return;
        }
        assert!(
            all_run,
            "client {} sent what was not run: {:?}; {pipe:?}; stopped: {stopped}",
            self.number, self.items
        );
        assert_eq!(
            String::from_utf8_lossy(&pipe.received),
            String::from_utf8_lossy(&expected),
            "client {} must have all its answers",
            self.number
        );
        if self.is_over() || pipe.client_ended || stopped {
            assert!(pipe.shut || pipe.closed, "client {} must see the end", self.number);
        } else {
            assert!(
                !pipe.closed,
                "client {} was closed without a reason after {age_ms} ms: {:?} {pipe:?}",
                self.number, self.items
            );
        }
    }
}

/// A request as an existing Python client sends it, with a token beside it.
fn frame(request: &str, token: Option<&str>) -> Vec<u8> {
    let words: Vec<&str> = request.split(' ').collect();
    let token = token.map(|token| format!(r#", "token": "{token}""#)).unwrap_or_default();
    let content = match words[..] {
        ["register", service_type, ip, port] => {
            format!(r#"{{"action": "register", "type": "{service_type}", "ip": "{ip}", "port": {port}{token}}}"#)
        }
        ["heartbeat", uuid] => format!(r#"{{"action": "heartbeat", "uuid": "{uuid}"{token}}}"#),
        ["query", service_type] => format!(r#"{{"action": "query", "type": "{service_type}"{token}}}"#),
        _ => unreachable!("no such request: {request}"),
    };
    whole_frame("text/json", "", content.as_bytes())
}

fn answer_frame(exchange: &Exchange) -> Vec<u8> {
    if exchange.request.starts_with("query") && !exchange.reply.starts_with("ERROR") {
        let string = serde_json::to_string(&exchange.reply).expect("a string is JSON");
        return whole_frame("text/json", "", string.as_bytes());
    }
    match exchange.reply.strip_prefix("ERROR ") {
        Some(reason) => whole_frame("text/plain", &format!(r#", "error": "{reason}""#), b"ERROR"),
        None => whole_frame("text/plain", "", exchange.reply.as_bytes()),
    }
}

fn whole_frame(content_type: &str, further_keys: &str, content: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"byteorder": "little", "content-type": "{content_type}", "content-encoding": "utf-8", "content-length": {}{further_keys}}}"#,
        content.len()
    );
    let mut frame = (header.len() as u16).to_be_bytes().to_vec();
    frame.extend(header.bytes());
    frame.extend(content);
    frame
}
