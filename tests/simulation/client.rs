//! A client: generates its input, and checks the output that it must receive.

use std::time::Duration;

use discovery_service::limits::{FRAME_MS_MAX, LINE_LEN_MAX, LINGER_MS_MAX};
use discovery_service::message::{After, Labels, Offer, Refusal, Reply, Request, ServiceType, Ttl};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::model::{Picture, written};

use crate::net::Pipe;
use crate::rng::Rng;
use crate::stream::Stream;

/// A request and its answer, as text.
#[derive(Debug)]
pub struct Exchange {
    pub request: String,
    pub reply: String,
}

/// Stands for the answer to `watch`, which is a stream.
pub const STREAM: &str = "(stream)";
/// Stands for the answer to `quit`, which has none.
const NOTHING: &str = "(nothing)";

impl Exchange {
    pub fn new(request: &Request<'_>, reply: &Reply) -> Self {
        let reply = match reply {
            Reply::Bye => NOTHING.to_owned(),
            Reply::Catalog(_) | Reply::Names(_) | Reply::Constant { .. } => followed(reply),
            reply => written(reply),
        };
        let request = sent(request);
        Exchange { request, reply }
    }

    /// The exchange of a `watch` request, which is answered by a stream.
    pub fn stream(request: &Request<'_>) -> Self {
        Exchange {
            request: sent(request),
            reply: STREAM.to_owned(),
        }
    }

    /// The line that answers the request, without its end; `None` where a stream does.
    pub fn answer(&self) -> Option<&str> {
        (self.reply != STREAM).then_some(&*self.reply)
    }

    /// The UUID in the reply, if there is one.
    pub fn uuid(&self) -> Option<String> {
        let gives = self.request.starts_with("register") || self.request.starts_with("hold");
        gives
            .then(|| self.reply.clone())
            .filter(|reply| reply.len() == 36)
    }
}

/// A request as a client sends it in text.
fn sent(request: &Request<'_>) -> String {
    let optional = |name: &Option<ServiceType<'_>>| {
        name.as_ref()
            .map_or(String::new(), |n| format!(" {}", n.as_str()))
    };
    let seconds = |name: &str, ttl: &Option<Ttl>| {
        ttl.map_or(String::new(), |ttl| {
            format!(" {name}={}", ttl.duration().as_secs())
        })
    };
    let id = |uuid: &Option<Uuid>| uuid.map_or("ERROR".to_owned(), |uuid| uuid.to_string());
    match request {
        Request::Auth { token } => format!("auth {token}"),
        Request::Register {
            offer,
            ttl,
            replace,
            labels,
        }
        | Request::Hold {
            offer,
            ttl,
            replace,
            labels,
        } => {
            let replace = if *replace { " replace" } else { "" };
            let (ttl, labels) = (seconds("ttl", ttl), label_words(labels));
            let verb = request.verb().name();
            format!("{verb} {}{ttl}{replace}{labels}", words(offer))
        }
        Request::Heartbeat { uuid } => format!("heartbeat {}", id(uuid)),
        Request::Revive {
            uuid,
            offer,
            ttl,
            labels,
        } => {
            let (ttl, labels) = (seconds("ttl", ttl), label_words(labels));
            format!("heartbeat {uuid} {}{ttl}{labels}", words(offer))
        }
        Request::Update { uuid, labels } => {
            format!("update {}{}", id(uuid), label_words(labels))
        }
        Request::Deregister { uuid } => format!("deregister {}", id(uuid)),
        Request::Query {
            service_type,
            max_age,
            labels,
            limit,
        } => {
            let limit = limit.map_or(String::new(), |limit| format!(" limit={limit}"));
            format!(
                "query {}{}{}{limit}",
                service_type.as_str(),
                seconds("max-age", max_age),
                label_words(labels)
            )
        }
        Request::Types => "types".to_owned(),
        Request::List { service_type, .. } => format!("list{}", optional(service_type)),
        Request::Catalog {
            service_type,
            labels,
            after,
        } => {
            let (name, labels) = (optional(service_type), label_words(labels));
            format!("catalog{name}{labels}{}", behind(after))
        }
        Request::Names { after } => format!("names{}", behind(after)),
        Request::Constant { after } => format!("constant{}", behind(after)),
        Request::Resolve { .. } | Request::Metrics { .. } => panic!("{request:?} is not sent"),
        Request::Why { uuid } => format!("why {}", id(uuid)),
        Request::Watch { service_type } => format!("watch{}", optional(service_type)),
        Request::Stats => "stats".to_owned(),
        Request::Ping | Request::Health => "ping".to_owned(),
        Request::Help => "help".to_owned(),
        Request::Quit => "quit".to_owned(),
    }
}

/// The answer that a client has, behind a request that waits for the next one.
fn behind(after: &Option<After>) -> String {
    after.map_or(String::new(), |After { index, wait_ms }| {
        format!(" index={index} wait={wait_ms}")
    })
}

/// An answer that is followed by its index, as JSON.
fn followed(reply: &Reply) -> String {
    let told = match reply {
        Reply::Catalog(catalog) => {
            let services = catalog.services.iter().map(|service| {
                let labels = service.labels.as_deref().cloned().unwrap_or_default();
                json!({
                    "id": service.id,
                    "type": service.service_type,
                    "ip": service.address.ip,
                    "port": service.address.port,
                    "tags": labels.tags(),
                    "meta": json!(labels)["meta"],
                })
            });
            json!({"index": catalog.index, "told": services.collect::<Vec<_>>()})
        }
        Reply::Names(names) => {
            let pairs = names.names.iter();
            let names_told = pairs.map(|name| (name.service_type.to_string(), json!(name.tags)));
            json!({"index": names.index, "told": Value::Object(names_told.collect())})
        }
        Reply::Constant { index } => json!({"index": index}),
        other => panic!("{other:?} is not followed"),
    };
    told.to_string()
}

fn label_words(labels: &Option<Box<Labels>>) -> String {
    let mut words = String::new();
    for tag in labels.iter().flat_map(|labels| labels.tags()) {
        words += &format!(" tag={tag}");
    }
    for (key, value) in labels.iter().flat_map(|labels| labels.meta()) {
        words += &format!(" meta.{key}={value}");
    }
    words
}

fn words(offer: &Offer<'_>) -> String {
    let ip = offer.ip.map_or("-".to_owned(), |ip| ip.to_string());
    format!("{} {ip} {}", offer.service_type.as_str(), offer.port)
}

/// One command or malformed input that a client sends.
#[derive(Debug)]
enum Item {
    /// A request that the service must decode as this text.
    Request(String),
    /// Answered with this line; the connection goes on.
    Refused(Refusal),
    /// Answered with this line; the connection ends, and nothing after it is run.
    Fatal(Refusal),
}

/// The state that a client expects of its connection.
#[derive(Clone, Copy)]
pub struct Circumstances {
    pub now: Duration,
    pub idle_ms_max: Option<u64>,
    pub stopped: bool,
    /// Its request waits for a change.
    pub is_waiting: bool,
}

/// A client of any format.
pub trait Speaker {
    fn number(&self) -> usize;

    /// The next bytes to send: part of a request, or several.
    fn next_bytes(&mut self, uuids: &[String]) -> Vec<u8>;

    /// The rest of a partly sent request.
    fn rest(&mut self) -> Vec<u8>;

    /// The unsent bytes, and one more request.
    fn whole_commands(&mut self) -> Vec<u8>;

    /// Whether it is between two requests.
    fn is_finished(&self) -> bool;

    /// Whether it is a watcher.
    fn is_watching(&self) -> bool;

    /// Checks that the received bytes are a prefix of the expected ones.
    fn check_prefix(&mut self, pipe: &Pipe, log: Option<&Vec<Exchange>>);

    /// What a watcher that has received everything watches, and its picture of that.
    fn picture(&self, pipe: &Pipe, log: Option<&Vec<Exchange>>) -> Option<Watched<'_>>;

    /// Checks, when nothing is under way any more, that everything expected has arrived.
    fn check_complete(
        &self,
        pipe: &Pipe,
        log: Option<&Vec<Exchange>>,
        circumstances: Circumstances,
    );
}

/// The watched type, or all, and a watcher's picture of it.
pub type Watched<'a> = (Option<&'static str>, &'a Picture);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Frame,
}

pub struct Client {
    number: usize,
    rng: Rng,
    format: Format,
    /// The token that the service requires.
    token: Option<&'static str>,
    /// The token that was sent in a frame, beside its request.
    in_frame: Option<&'static str>,
    items: Vec<Item>,
    /// Bytes of the present command that are not sent yet.
    unsent: Vec<u8>,
    connected_at: Duration,
    /// Whether it sends `watch` at some time.
    watcher: bool,
    /// The type, or all, of the `watch` that it has sent.
    watching: Option<Option<&'static str>>,
    stream: Stream,
}

/// The token of the services that require one.
pub const TOKEN: &str = "open-sesame";
pub const WRONG_TOKEN: &str = "open-barley";

pub const TYPES: [&str; 4] = ["hive", "a", "web/1", "日本"];
pub const IPS: [&str; 4] = ["127.0.0.1", "10.0.0.7", "::1", "2001:db8::7"];

impl Client {
    pub fn new(number: usize, seed: u64, token: Option<&'static str>, now: Duration) -> Self {
        let mut rng = Rng::new(seed);
        let format = if rng.chance(25) {
            Format::Frame
        } else {
            Format::Text
        };
        let (items, unsent) = (Vec::new(), Vec::new());
        let watcher = format == Format::Text && rng.chance(30);
        let mut client = Client {
            number,
            rng,
            format,
            token,
            in_frame: None,
            items,
            unsent,
            connected_at: now,
            watcher,
            watching: None,
            stream: Stream::default(),
        };
        if client.token.is_some() && client.rng.chance(80) {
            let right = client.rng.chance(90);
            client.show_token(if right { TOKEN } else { WRONG_TOKEN });
        }
        client
    }

    /// A client that only registers.
    pub fn polite(number: usize, token: Option<&'static str>, now: Duration) -> Self {
        let mut client = Client::new(number, 0, None, now);
        client.format = Format::Text;
        client.watcher = false;
        client.token = token;
        if let Some(token) = token {
            client.show_token(token);
        }
        client.line(
            Item::Request("register hive 127.0.0.1 1".to_owned()),
            b"register hive 127.0.0.1 1",
        );
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

    /// A request or malformed input as one datagram, perhaps without a line end.
    pub fn datagram(&mut self, uuids: &[String]) -> Vec<u8> {
        self.format = Format::Text;
        let mut line = match self.rng.below(10) {
            0 => "bogus command".to_owned(),
            1 => "hold hive 10.0.0.1 1".to_owned(),
            2 => "watch".to_owned(),
            _ => loop {
                let request = self.request(uuids);
                let needs_session = ["hold", "watch", "quit"].map(|verb| request.starts_with(verb));
                if !needs_session.contains(&true) {
                    break request;
                }
                self.watching = None;
            },
        };
        line += ["", "\n", "\r\n", "\nquery hive\n"][self.rng.index(4)];
        line.into_bytes()
    }

    fn is_over(&self) -> bool {
        let frame_sent = self.format == Format::Frame && !self.items.is_empty();
        let failed = |item: &Item| matches!(item, Item::Request(request) if request.ends_with(WRONG_TOKEN) || request == "quit");
        frame_sent
            || matches!(self.items.last(), Some(Item::Fatal(_)))
            || self.items.last().is_some_and(failed)
    }

    fn add_command(&mut self, uuids: &[String]) {
        if self.is_over() {
            // The service must drop all input after the end.
            let quit =
                matches!(self.items.last(), Some(Item::Request(request)) if request == "quit");
            if self.rng.chance(30) && (self.token.is_none() || !quit) {
                self.unsent
                    .extend(b"register late 127.0.0.1 9\nquery hive\n");
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
            17..19 if self.items.is_empty() => {
                self.line(Item::Fatal(Refusal::OtherHttp), b"HTTP/1.1 200 OK")
            }
            _ => {
                let text = request.clone();
                self.line(Item::Request(request), text.as_bytes());
            }
        }
    }

    fn line(&mut self, item: Item, bytes: &[u8]) {
        self.items.push(item);
        self.unsent.extend(bytes);
        self.unsent.extend(if self.rng.chance(30) {
            &b"\r\n"[..]
        } else {
            b"\n"
        });
    }

    fn request(&mut self, uuids: &[String]) -> String {
        if self.watching.is_some() {
            return if self.rng.chance(80) {
                "ping"
            } else {
                "query hive"
            }
            .to_owned();
        }
        if self.watcher && self.rng.chance(30) {
            let service_type = self
                .rng
                .chance(50)
                .then(|| TYPES[self.rng.index(TYPES.len())]);
            self.watching = Some(service_type);
            return service_type.map_or("watch".to_owned(), |name| format!("watch {name}"));
        }
        let service_type = TYPES[self.rng.index(TYPES.len())];
        let text = self.format == Format::Text;
        let ip = if text && self.rng.chance(20) {
            "-"
        } else {
            IPS[self.rng.index(IPS.len())]
        };
        // Few ports, so that services replace each other.
        let offer = format!("{service_type} {ip} {}", self.rng.between(1, 6));
        let uuid = match uuids.len() {
            0 => "ERROR".to_owned(),
            len => uuids[self.rng.index(len)].clone(),
        };
        let option = |rng: &mut Rng, name: &str| {
            if text && rng.chance(30) {
                format!(" {name}={}", rng.between(1, 5))
            } else {
                String::new()
            }
        };
        let labels = |rng: &mut Rng| {
            let mut words = String::new();
            for tag in ["blue", "green", "\"q\""] {
                if text && rng.chance(15) {
                    words += &format!(" tag={tag}");
                }
            }
            if text && rng.chance(15) {
                words += &format!(" meta.version={}", rng.below(2));
            }
            words
        };
        match self.rng.below(33) {
            0..7 => {
                let replace = if text && self.rng.chance(30) {
                    " replace"
                } else {
                    ""
                };
                let ttl = option(&mut self.rng, "ttl");
                format!("register {offer}{ttl}{replace}{}", labels(&mut self.rng))
            }
            7..9 if text => {
                let ttl = option(&mut self.rng, "ttl");
                let replace = if self.rng.chance(30) { " replace" } else { "" };
                format!("hold {offer}{ttl}{replace}{}", labels(&mut self.rng))
            }
            30..33 if text => format!("update {uuid}{}", labels(&mut self.rng)),
            9..18 => format!("heartbeat {uuid}"),
            18..20 if text && uuid != "ERROR" => {
                let ttl = option(&mut self.rng, "ttl");
                format!("heartbeat {uuid} {offer}{ttl}{}", labels(&mut self.rng))
            }
            20..22 => format!("deregister {uuid}"),
            22 => "types".to_owned(),
            23 => "list".to_owned(),
            24 => format!("list {service_type}"),
            25 if text => format!("why {uuid}"),
            26 => "ping".to_owned(),
            27 => "stats".to_owned(),
            28 if text => if self.rng.chance(20) { "quit" } else { "help" }.to_owned(),
            _ => {
                let max_age = option(&mut self.rng, "max-age");
                let labels = labels(&mut self.rng);
                let limit = option(&mut self.rng, "limit");
                format!("query {service_type}{max_age}{labels}{limit}")
            }
        }
    }

    /// The output that the client must receive for the requests that have been run so far.
    fn expected(&self, log: Option<&Vec<Exchange>>) -> Expected {
        let mut exchanges = log.into_iter().flatten();
        let mut admitted = self.token.is_none();
        let mut expected = Expected::default();
        for item in &self.items {
            match item {
                Item::Refused(refusal) => {
                    let refusal = if admitted {
                        refusal
                    } else {
                        &Refusal::AuthenticationRequired
                    };
                    expected.push(format!("ERROR {refusal}\n").into_bytes());
                }
                Item::Fatal(refusal) => {
                    expected.push(format!("ERROR {refusal}\n").into_bytes());
                    break;
                }
                Item::Request(request) => {
                    let Some(mut exchange) = exchanges.next() else {
                        return expected;
                    };
                    if let Some(token) = self.in_frame {
                        assert_eq!(exchange.request, format!("auth {token}"));
                        if exchange.reply == "OK" {
                            let Some(second) = exchanges.next() else {
                                return expected;
                            };
                            exchange = second;
                        }
                    }
                    admitted |= exchange.request.starts_with("auth") && exchange.reply == "OK";
                    let refused = exchange.request.starts_with("auth") && exchange.reply != "OK";
                    assert!(
                        refused || &exchange.request == request,
                        "another request was run than was sent"
                    );
                    match self.format {
                        _ if exchange.reply == NOTHING => break,
                        _ if exchange.reply == STREAM => expected.replies = Some(Vec::new()),
                        Format::Text => expected.push(format!("{}\n", exchange.reply).into_bytes()),
                        Format::Frame => expected.push(answer_frame(exchange)),
                    }
                }
            }
        }
        assert!(
            exchanges.next().is_none(),
            "the service ran more requests than the client sent"
        );
        expected.all_run = true;
        expected
    }

    /// Whether what it has received is a part of the expected bytes, and then of the refusal of a command that
    /// was not complete in time.
    fn is_told_overdue(&self, received: &[u8], expected: &[u8]) -> bool {
        let refusal = self.overdue();
        (0..received.len()).any(|at| {
            let (answers, rest) = received.split_at(at);
            expected.starts_with(answers) && refusal.starts_with(rest)
        })
    }

    /// The refusal of a command that was not complete in time.
    fn overdue(&self) -> Vec<u8> {
        match self.format {
            Format::Text => format!("ERROR {}\n", Refusal::LineOverdue).into_bytes(),
            Format::Frame => refusal_frame(&Refusal::FrameOverdue.reason()),
        }
    }
}

impl Speaker for Client {
    fn number(&self) -> usize {
        self.number
    }

    fn next_bytes(&mut self, uuids: &[String]) -> Vec<u8> {
        if self.unsent.is_empty() {
            let commands = if self.rng.chance(20) {
                self.rng.between(1, 40)
            } else {
                1
            };
            for _ in 0..commands {
                self.add_command(uuids);
            }
        }
        let n = if self.rng.chance(30) {
            1 + self.rng.index(self.unsent.len().max(1))
        } else {
            self.unsent.len()
        };
        let n = n.min(self.unsent.len());
        self.unsent.drain(..n).collect()
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unsent)
    }

    fn whole_commands(&mut self) -> Vec<u8> {
        self.add_command(&[]);
        self.rest()
    }

    fn is_finished(&self) -> bool {
        self.unsent.is_empty()
    }

    fn check_prefix(&mut self, pipe: &Pipe, log: Option<&Vec<Exchange>>) {
        let expected = self.expected(log);
        let refused = format!("ERROR {}\n", Refusal::TooManyConnections);
        if log.is_none() && refused.as_bytes().starts_with(&pipe.received) {
            return;
        }
        let received = &pipe.received[..];
        let exact = if expected.replies.is_some() {
            received.len().min(expected.bytes.len())
        } else {
            received.len()
        };
        let overdue = self.is_told_overdue(received, &expected.bytes);
        assert!(
            overdue || expected.bytes.starts_with(&received[..exact]),
            "client {} got {:?} instead of {:?}; it sent {:?} and was answered {log:?}",
            self.number,
            String::from_utf8_lossy(&pipe.received),
            String::from_utf8_lossy(&expected.bytes),
            self.items
        );
        if let Some(replies) = &expected.replies {
            self.stream.read(&received[exact..]);
            let overdue = format!("ERROR {}", Refusal::LineOverdue);
            let told = &self.stream.replies[..];
            let answers = match told.split_last() {
                Some((last, answers)) if *last == overdue => answers,
                _ => told,
            };
            assert!(
                replies.starts_with(answers),
                "{:?} instead of {replies:?}",
                self.stream.replies
            );
        }
    }

    fn is_watching(&self) -> bool {
        self.watching.is_some()
    }

    fn picture(&self, pipe: &Pipe, log: Option<&Vec<Exchange>>) -> Option<Watched<'_>> {
        let streams = self.expected(log).replies.is_some();
        if !streams || !pipe.is_told() {
            None
        } else {
            Some((self.watching?, &self.stream.picture))
        }
    }

    fn check_complete(
        &self,
        pipe: &Pipe,
        log: Option<&Vec<Exchange>>,
        circumstances: Circumstances,
    ) {
        let Circumstances {
            now,
            idle_ms_max,
            stopped,
            ..
        } = circumstances;
        if pipe.is_lost() {
            return;
        }
        // Registry time counts whole milliseconds.
        let age_ms = (now - self.connected_at).as_millis() as u64 + 1;
        // A closing or refused client has this long to read its last reply.
        // The `quit` of a client that is not authenticated is refused.
        let stays = |log: &Vec<Exchange>| {
            log.last()
                .is_some_and(|e| e.request == "quit" && e.reply != NOTHING)
        };
        let over = self.is_over() && !log.is_some_and(stays);
        let told = over || (log.is_none() && pipe.shut);
        let patience_ms = if told { LINGER_MS_MAX } else { FRAME_MS_MAX };
        if pipe.closed && age_ms >= patience_ms.min(idle_ms_max.unwrap_or(u64::MAX)) {
            return;
        }
        let Expected {
            bytes: expected,
            replies,
            all_run,
        } = self.expected(log);
        let refused = format!("ERROR {}\n", Refusal::TooManyConnections);
        if log.is_none() && pipe.received == refused.as_bytes() {
            assert!(pipe.shut || pipe.closed, "refused, but not closed");
            return;
        }
        if !self.is_finished() && !pipe.client_ended {
            // Its last command is incomplete.
            return;
        }
        if pipe.shut && age_ms >= patience_ms && pipe.received.ends_with(&self.overdue()) {
            return;
        }
        assert!(
            all_run,
            "client {} sent what was not run: {:?}; {pipe:?}; stopped: {stopped}",
            self.number, self.items
        );
        if let Some(replies) = replies {
            assert_eq!(
                self.stream.replies, replies,
                "watcher {} must have all its answers",
                self.number
            );
        } else {
            assert_eq!(
                String::from_utf8_lossy(&pipe.received),
                String::from_utf8_lossy(&expected),
                "client {} must have all its answers",
                self.number
            );
        }
        let must_end = over || pipe.client_ended || stopped;
        check_end(pipe, must_end, || {
            format!("client {} after {age_ms} ms: {:?}", self.number, self.items)
        });
    }
}

/// A connection has ended if it must, and otherwise it has not. `whose` says which it is.
pub fn check_end(pipe: &Pipe, must_end: bool, whose: impl Fn() -> String) {
    if must_end {
        let has_ended = pipe.shut || pipe.closed;
        assert!(has_ended, "{} must see the end: {pipe:?}", whose());
    } else {
        let is_open = !pipe.closed;
        assert!(is_open, "{} was closed without a reason: {pipe:?}", whose());
    }
}

/// The output that a client must receive.
#[derive(Default)]
struct Expected {
    /// The bytes before it watches.
    bytes: Vec<u8>,
    /// The answers among the lines of its stream, once it watches.
    replies: Option<Vec<String>>,
    /// Whether everything it has sent has been run.
    all_run: bool,
}

impl Expected {
    fn push(&mut self, answer: Vec<u8>) {
        match &mut self.replies {
            Some(replies) => replies.push(String::from_utf8_lossy(&answer).trim_end().to_owned()),
            None => self.bytes.extend(answer),
        }
    }
}

/// A request as an existing Python client sends it, with a token beside it.
fn frame(request: &str, token: Option<&str>) -> Vec<u8> {
    let words: Vec<&str> = request.split(' ').collect();
    let token = token
        .map(|token| format!(r#", "token": "{token}""#))
        .unwrap_or_default();
    let content = match words[..] {
        ["register", service_type, ip, port] => {
            format!(
                r#"{{"action": "register", "type": "{service_type}", "ip": "{ip}", "port": {port}{token}}}"#
            )
        }
        ["heartbeat", uuid] => format!(r#"{{"action": "heartbeat", "uuid": "{uuid}"{token}}}"#),
        ["deregister", uuid] => format!(r#"{{"action": "deregister", "uuid": "{uuid}"{token}}}"#),
        ["list", service_type] => {
            format!(r#"{{"action": "list", "type": "{service_type}"{token}}}"#)
        }
        [action @ ("types" | "list" | "stats" | "ping")] => {
            format!(r#"{{"action": "{action}"{token}}}"#)
        }
        ["query", service_type] => {
            format!(r#"{{"action": "query", "type": "{service_type}"{token}}}"#)
        }
        _ => unreachable!("no such request: {request}"),
    };
    whole_frame("text/json", "", content.as_bytes())
}

fn answer_frame(exchange: &Exchange) -> Vec<u8> {
    if exchange.request.starts_with("query") && !exchange.reply.starts_with("ERROR") {
        let string = serde_json::to_string(&exchange.reply).expect("a string is JSON");
        return whole_frame("text/json", "", string.as_bytes());
    }
    if exchange.reply.starts_with(['[', '{']) {
        return whole_frame("text/json", "", exchange.reply.as_bytes());
    }
    match exchange.reply.strip_prefix("ERROR ") {
        Some(reason) => refusal_frame(reason),
        None => whole_frame("text/plain", "", exchange.reply.as_bytes()),
    }
}

fn refusal_frame(reason: &str) -> Vec<u8> {
    let code = match reason {
        "registry full" => "full",
        "authentication required" | "authentication failed" => "unauthenticated",
        _ => "invalid",
    };
    let keys = format!(r#", "error": "{reason}", "code": "{code}""#);
    whole_frame("text/plain", &keys, b"ERROR")
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
