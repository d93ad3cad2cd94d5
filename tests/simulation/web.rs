//! A client that speaks HTTP: generates its requests, and checks the responses that it must receive.

use std::collections::BTreeMap;
use std::time::Duration;

use discovery_service::limits::{
    AUTHENTICATE_MS_MAX, HTTP_BODY_LEN_MAX, HTTP_FIELDS_MAX, HTTP_HEAD_LEN_MAX, HTTP_MS_MAX,
    LINGER_MS_MAX,
};
use discovery_service::message::Refusal;
use serde_json::{Value, json};

use crate::client::{
    Circumstances, Exchange, IPS, STREAM, Speaker, TOKEN, TYPES, WRONG_TOKEN, Watched, check_end,
};
use crate::net::Pipe;
use crate::rng::Rng;
use crate::stream::Stream;

/// One request that was sent.
#[derive(Debug)]
struct Item {
    /// The request that the service must run; `None` where it must run none.
    request: Option<String>,
    /// The token that it shows.
    token: Option<&'static str>,
    /// The path that it asks for.
    path: String,
    answer: Answer,
    is_head: bool,
    /// Whether the connection ends with the answer.
    closes: bool,
}

/// What a request is answered by, where it is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The document that text has as well.
    Api,
    Names,
    Catalog,
    Constant,
    Lines,
    Events,
    Lease,
    /// A refusal with this status.
    Refused(u16),
}

/// A response that has arrived whole.
#[derive(Debug)]
struct Response {
    status: u16,
    index: Option<u64>,
    is_chunked: bool,
    closes: bool,
    body: Vec<u8>,
}

pub struct Web {
    number: usize,
    rng: Rng,
    requires_token: bool,
    token: Option<&'static str>,
    items: Vec<Item>,
    unsent: Vec<u8>,
    connected_at: Duration,
    watched: Option<Option<&'static str>>,
    /// Items that are answered, bytes of responses that were read, exchanges of the log that were met.
    answered: usize,
    read: usize,
    met: usize,
    /// The last index of each path.
    indexes: BTreeMap<String, u64>,
    /// The lines of the stream, once it has begun, and whether it has ended.
    lines: Option<Vec<u8>>,
    has_ended: bool,
    stream: Stream,
}

impl Web {
    pub fn new(number: usize, seed: u64, token: Option<&'static str>, now: Duration) -> Self {
        let mut rng = Rng::new(seed);
        let shown = if rng.chance(90) { TOKEN } else { WRONG_TOKEN };
        let shows = rng.chance(if token.is_some() { 80 } else { 10 });
        Web {
            number,
            rng,
            requires_token: token.is_some(),
            token: shows.then_some(shown),
            items: Vec::new(),
            unsent: Vec::new(),
            connected_at: now,
            watched: None,
            answered: 0,
            read: 0,
            met: 0,
            indexes: BTreeMap::new(),
            lines: None,
            has_ended: false,
            stream: Stream::default(),
        }
    }

    /// Whether nothing more is to be sent: the connection ends, or its last answer goes on.
    fn is_over(&self) -> bool {
        let is_stream =
            |item: &Item| matches!(item.answer, Answer::Lines | Answer::Events | Answer::Lease);
        self.ends() || self.items.last().is_some_and(is_stream)
    }

    /// Whether the connection ends with the last answer.
    fn ends(&self) -> bool {
        self.items.last().is_some_and(|item| {
            let shows_wrong = item.token == Some(WRONG_TOKEN) && item.path != "/api/ping";
            item.closes || (self.requires_token && shows_wrong)
        })
    }

    fn add_request(&mut self, uuids: &[String]) {
        if self.is_over() {
            // A stream may have been refused.
            if (self.ends() || self.lines.is_some()) && self.rng.chance(30) {
                self.unsent
                    .extend(b"GET /api/types HTTP/1.1\r\nHost: a\r\n\r\nquery hive\n");
            }
            return;
        }
        match self.rng.below(100) {
            0..8 => self.add_refused(),
            8..30 => self.add_consul(),
            30..60 => self.add_read(),
            60..63 => self.add_stream(),
            _ => self.add_change(uuids),
        }
    }

    fn add_read(&mut self) {
        let name = TYPES[self.rng.index(TYPES.len())];
        let (path, request) = match self.rng.below(8) {
            0 => ("/api/types".to_owned(), "types".to_owned()),
            1 => ("/api/list".to_owned(), "list".to_owned()),
            2 => (
                format!("/api/list?type={}", encoded(name)),
                format!("list {name}"),
            ),
            3 => ("/api/stats".to_owned(), "stats".to_owned()),
            4 => ("/api/ping".to_owned(), "ping".to_owned()),
            _ => {
                let mut pair = (
                    format!("/api/query?type={}", encoded(name)),
                    format!("query {name}"),
                );
                for (key, value) in [("max-age", "3"), ("tag", "\"q\""), ("limit", "2")] {
                    if self.rng.chance(25) {
                        pair.0 += &format!("&{key}={}", encoded(value));
                        pair.1 += &format!(" {key}={value}");
                    }
                }
                pair
            }
        };
        // Who polls asks the same again.
        let times = if self.rng.chance(30) {
            self.rng.between(2, 5)
        } else {
            1
        };
        for _ in 0..times {
            if !self.is_over() {
                self.add_get(path.clone(), request.clone(), Answer::Api, &[]);
            }
        }
    }

    fn add_consul(&mut self) {
        let name = TYPES[self.rng.index(TYPES.len())];
        let (path, request, answer) = match self.rng.below(8) {
            0..4 => (
                format!("/v1/health/service/{}", encoded(name)),
                format!("catalog {name}"),
                Answer::Catalog,
            ),
            4 => (
                "/v1/health/state/any".to_owned(),
                "catalog".to_owned(),
                Answer::Catalog,
            ),
            5 | 6 => (
                "/v1/catalog/services".to_owned(),
                "names".to_owned(),
                Answer::Names,
            ),
            _ => (
                "/v1/catalog/nodes".to_owned(),
                "constant".to_owned(),
                Answer::Constant,
            ),
        };
        let known = self.indexes.get(&path).copied();
        let Some(index) = known.filter(|_| self.rng.chance(80)) else {
            return self.add_get(path, request, answer, &[]);
        };
        let wait = self.rng.between(1, 20_000);
        let query = format!("?index={index}&wait={wait}ms");
        let request = format!("{request} index={index} wait={wait}");
        self.add_get(path + &query, request, answer, &[]);
    }

    fn add_stream(&mut self) {
        let name = self
            .rng
            .chance(50)
            .then(|| TYPES[self.rng.index(TYPES.len())]);
        let request = name.map_or("watch".to_owned(), |name| format!("watch {name}"));
        let query = name.map_or(String::new(), |name| format!("?type={}", encoded(name)));
        let path = format!("/api/watch{query}");
        self.watched = Some(name);
        if self.rng.chance(50) {
            self.add_get(
                path,
                request,
                Answer::Events,
                &["Accept: text/event-stream"],
            );
        } else {
            self.add_get(path, request, Answer::Lines, &[]);
        }
    }

    /// Adds a request without a body.
    fn add_get(&mut self, path: String, request: String, answer: Answer, fields: &[&str]) {
        let is_stream = matches!(answer, Answer::Lines | Answer::Events);
        let is_head = !is_stream && self.rng.chance(10);
        let closes = !is_stream && self.rng.chance(5);
        let mut head = format!(
            "{} {path} HTTP/1.1\r\nHost: a\r\n",
            if is_head { "HEAD" } else { "GET" }
        );
        fields
            .iter()
            .for_each(|field| head += &format!("{field}\r\n"));
        let token = self.push_token(&mut head);
        if closes {
            head += "connection: Close\r\n";
        }
        self.unsent.extend(format!("{head}\r\n").bytes());
        self.items.push(Item {
            request: Some(request),
            token,
            path,
            answer,
            is_head,
            closes,
        });
    }

    fn push_token(&mut self, head: &mut String) -> Option<&'static str> {
        let token = self.token.filter(|_| self.rng.chance(90))?;
        *head += &format!("Authorization: Bearer {token}\r\n");
        Some(token)
    }

    fn add_change(&mut self, uuids: &[String]) {
        let name = TYPES[self.rng.index(TYPES.len())];
        let (ip, port) = (IPS[self.rng.index(IPS.len())], self.rng.between(1, 6));
        let uuid = match uuids.len() {
            0 => "ERROR",
            len => &uuids[self.rng.index(len)],
        };
        let offer = json!({"type": name, "ip": ip, "port": port});
        let of_uuid = json!({"uuid": uuid});
        let (path, request, body) = match self.rng.below(10) {
            0..3 => ("register", format!("register {name} {ip} {port}"), offer),
            3 => {
                let mut offer = offer;
                offer["replace"] = json!(true);
                offer["tags"] = json!(["blue"]);
                let request = format!("register {name} {ip} {port} replace tag=blue");
                ("register", request, offer)
            }
            4 if self.rng.chance(20) => ("hold", format!("hold {name} {ip} {port}"), offer),
            5 => ("deregister", format!("deregister {uuid}"), of_uuid),
            6 => ("why", format!("why {uuid}"), of_uuid),
            7 => {
                let body = json!({"uuid": uuid, "tags": ["green"]});
                ("update", format!("update {uuid} tag=green"), body)
            }
            _ => ("heartbeat", format!("heartbeat {uuid}"), of_uuid),
        };
        let answer = if path == "hold" {
            Answer::Lease
        } else {
            Answer::Api
        };
        let path = format!("/api/{path}");
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n");
        let token = self.push_token(&mut head);
        if self.rng.chance(20) {
            head += "Expect: 100-continue\r\n";
        }
        self.push_body(head, body.to_string().as_bytes());
        self.items.push(Item {
            request: Some(request),
            token,
            path,
            answer,
            is_head: false,
            closes: false,
        });
    }

    /// Sends a body in one piece, or in chunks of any length.
    fn push_body(&mut self, head: String, body: &[u8]) {
        if self.rng.chance(50) {
            let len = body.len();
            self.unsent
                .extend(format!("{head}Content-Length: {len}\r\n\r\n").bytes());
            self.unsent.extend(body);
            return;
        }
        self.unsent
            .extend(format!("{head}Transfer-Encoding: chunked\r\n\r\n").bytes());
        let mut rest = body;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(1 + self.rng.index(rest.len()));
            self.unsent.extend(format!("{:x}\r\n", chunk.len()).bytes());
            self.unsent.extend(chunk);
            self.unsent.extend(b"\r\n");
            rest = after;
        }
        self.unsent.extend(b"0\r\n\r\n");
    }

    /// Adds what must not be run, perhaps because its end is not known.
    fn add_refused(&mut self) {
        const BEGIN: &str = "GET /api/types HTTP/1.1\r\nHost: a\r\n";
        let long = format!("X: {}\r\n", "y".repeat(HTTP_HEAD_LEN_MAX));
        let many = "A: b\r\n".repeat(HTTP_FIELDS_MAX);
        let body_len = HTTP_BODY_LEN_MAX + 1;
        let (bytes, status, closes) = match self.rng.below(14) {
            0 => ("GET /no HTTP/1.1\r\nHost: a\r\n\r\n".into(), 404, false),
            1 => (
                "POST /api/types HTTP/1.1\r\nHost: a\r\n\r\n".into(),
                405,
                false,
            ),
            2 => (
                "GET /api/query HTTP/1.1\r\nHost: a\r\n\r\n".into(),
                400,
                false,
            ),
            3 => (
                format!("{BEGIN}Origin: http://evil.example\r\n\r\n"),
                403,
                false,
            ),
            4 => (
                "POST /api/why HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}".into(),
                400,
                false,
            ),
            5 => (format!("{BEGIN}X: y\n\r\n"), 400, true),
            6 => (
                format!("{BEGIN}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
                400,
                true,
            ),
            7 => (format!("{BEGIN}X: y\r\n z\r\n\r\n"), 400, true),
            8 => (
                format!("{BEGIN}Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n"),
                400,
                true,
            ),
            9 => (
                format!("{BEGIN}Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n"),
                400,
                true,
            ),
            10 => (format!("{BEGIN}Transfer-Encoding: gzip\r\n\r\n"), 501, true),
            11 => (
                format!("{BEGIN}Content-Length: {body_len}\r\n\r\n"),
                413,
                true,
            ),
            12 => (format!("{BEGIN}{long}\r\n"), 431, true),
            _ => (format!("{BEGIN}{many}\r\n"), 431, true),
        };
        self.unsent.extend(bytes.bytes());
        self.items.push(Item {
            request: None,
            token: None,
            path: String::new(),
            answer: Answer::Refused(status),
            is_head: false,
            closes,
        });
    }

    /// The next exchange of the log that is an answer to the present item; `None` while it is not run.
    /// Each time that it is tried, the token is shown anew.
    fn exchange<'a>(&self, log: Option<&'a Vec<Exchange>>) -> Option<(usize, &'a Exchange)> {
        let exchanges = log?.iter().enumerate().skip(self.met);
        exchanges
            .map(|(at, exchange)| (at + 1, exchange))
            .find(|(_, exchange)| !exchange.request.starts_with("auth ") || exchange.reply != "OK")
    }

    /// Checks the next response, which has arrived whole.
    fn meet(&mut self, response: &Response, log: Option<&Vec<Exchange>>) {
        let number = self.number;
        let Some(item) = self.items.get(self.answered) else {
            panic!("client {number} got a response to nothing: {response:?}");
        };
        let told = String::from_utf8_lossy(&response.body);
        self.answered += 1;
        if let Answer::Refused(status) = item.answer {
            let is_stranger = self.requires_token && response.status == 401;
            assert!(
                response.status == status || (is_stranger && !item.closes),
                "client {number}: {response:?} to {item:?}"
            );
            assert_eq!(response.closes, item.closes, "{response:?} to {item:?}");
            return;
        }
        let Some((met, exchange)) = self.exchange(log) else {
            panic!("client {number} got {response:?} {told} to {item:?}, which was not run");
        };
        self.met = met;
        let is_consul = item.path.starts_with("/v1/");
        if let Some(reason) = exchange.reply.strip_prefix("ERROR ") {
            let (refused, wrong) = ("authentication required", "authentication failed");
            match reason {
                _ if reason == refused || reason == wrong => {
                    assert_eq!(response.status, if is_consul { 403 } else { 401 });
                }
                "registry full" => assert_eq!(response.status, 503),
                _ => assert!((400..500).contains(&response.status), "{response:?}"),
            }
            assert_eq!(response.closes, item.closes || reason == wrong);
            if item.is_head {
                assert!(told.is_empty());
            } else if is_consul {
                assert_eq!(told.trim_end(), reason);
            } else {
                assert_eq!(parse(&response.body)["error"], reason);
            }
            return;
        }
        assert_eq!(
            Some(&exchange.request),
            item.request.as_ref(),
            "another request was run than was sent"
        );
        assert_eq!(response.closes, item.closes, "{response:?} to {item:?}");
        let status = if exchange.reply == "NOT FOUND" {
            404
        } else {
            200
        };
        assert_eq!(response.status, status, "{response:?} to {item:?}");
        let is_stream = matches!(item.answer, Answer::Lines | Answer::Events | Answer::Lease);
        assert_eq!(response.is_chunked, is_stream, "{response:?} to {item:?}");
        if is_stream {
            if item.answer != Answer::Lease {
                assert_eq!(exchange.reply, STREAM);
            }
            self.lines = Some(Vec::new());
            return;
        }
        let expected = match &*exchange.reply {
            "OK" | "PONG" => json!({"ok": true}),
            "NOT FOUND" => {
                parse(br#"{"error":"no live registration has this UUID","code":"not_found"}"#)
            }
            reply if exchange.request.starts_with("register") => {
                json!({"uuid": reply, "id": parse(&response.body)["id"]})
            }
            reply => parse(reply.as_bytes()),
        };
        let followed = matches!(
            item.answer,
            Answer::Catalog | Answer::Names | Answer::Constant
        );
        if followed {
            let index = response.index.expect("an index");
            assert_eq!(Some(index), expected["index"].as_u64());
            let path = item.path.split('?').next().unwrap_or_default();
            self.indexes.insert(path.to_owned(), index);
        }
        if item.is_head {
            assert!(told.is_empty(), "the answer to HEAD has a body");
            return;
        }
        match item.answer {
            Answer::Catalog if item.path.starts_with("/v1/health/service") => {
                let entries = parse(&response.body);
                let entries = entries.as_array().expect("entries").iter();
                assert_eq!(entries.map(entry).collect::<Value>(), expected["told"]);
            }
            Answer::Catalog => {
                let checks = parse(&response.body);
                let told: Vec<&Value> = checks.as_array().expect("checks").iter().collect();
                let expected = expected["told"].as_array().expect("services");
                assert_eq!(told.len(), expected.len());
                for (check, service) in told.into_iter().zip(expected) {
                    assert_eq!(check["ServiceID"], service["id"]);
                    assert_eq!(check["Status"], "passing");
                }
            }
            Answer::Names => assert_eq!(parse(&response.body), expected["told"]),
            Answer::Constant => assert_eq!(parse(&response.body).as_array().map(Vec::len), Some(1)),
            _ => assert_eq!(parse(&response.body), expected, "{item:?}"),
        }
    }

    /// Reads the responses that have arrived whole, and the pieces of a stream.
    fn take(&mut self, received: &[u8], log: Option<&Vec<Exchange>>) {
        while self.lines.is_none() {
            let rest = &received[self.read..];
            let item = self.items.get(self.answered);
            let is_head = item.is_some_and(|item| item.is_head);
            let Some((len, response)) = Response::parse(rest, is_head) else {
                return;
            };
            if response.status == 408 {
                let last = rest.len() == len && response.closes && self.exchange(log).is_none();
                assert!(last, "told to be late: {response:?}");
                return;
            }
            self.read += len;
            if response.status != 100 {
                self.meet(&response, log);
            }
        }
        while let Some((len, piece)) = chunk(&received[self.read..]) {
            assert!(
                !self.has_ended,
                "something comes behind the end of a stream"
            );
            self.read += len;
            self.has_ended = piece.is_empty();
            self.take_piece(piece);
        }
        let lines = self.lines.as_deref().unwrap_or_default();
        if self.watched.is_some() {
            self.stream.read(lines);
            assert!(self.stream.replies.is_empty(), "no answers are in a stream");
        }
    }

    fn take_piece(&mut self, piece: &[u8]) {
        let lines = self.lines.get_or_insert_default();
        let kind = self.items[self.answered - 1].answer;
        match kind {
            Answer::Events => {
                let event = std::str::from_utf8(piece).expect("text");
                assert!(event.is_empty() || event.ends_with("\n\n"), "{event}");
                let of = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let Some(data) = of("data: ") {
                    let index = parse(data.as_bytes())["index"].to_string();
                    assert_eq!(of("id: "), Some(&*index), "{event}");
                    lines.extend(format!("{data}\n").bytes());
                }
            }
            Answer::Lease if lines.is_empty() => {
                assert!(piece.is_empty() || parse(piece)["uuid"].is_string());
                lines.extend(piece);
            }
            Answer::Lease => assert!(piece.is_empty() || piece == b"{}\n", "{piece:?}"),
            _ => lines.extend(piece),
        }
    }
}

impl Speaker for Web {
    fn number(&self) -> usize {
        self.number
    }

    fn next_bytes(&mut self, uuids: &[String]) -> Vec<u8> {
        if self.unsent.is_empty() {
            let requests = if self.rng.chance(20) {
                self.rng.between(1, 20)
            } else {
                1
            };
            for _ in 0..requests {
                self.add_request(uuids);
            }
        }
        let len = self.unsent.len();
        let n = if self.rng.chance(40) {
            1 + self.rng.index(len.max(1))
        } else {
            len
        };
        self.unsent.drain(..n.min(len)).collect()
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unsent)
    }

    fn whole_commands(&mut self) -> Vec<u8> {
        if !self.is_over() {
            let (path, request) = ("/api/ping".to_owned(), "ping".to_owned());
            self.add_get(path, request, Answer::Api, &[]);
        }
        self.rest()
    }

    fn is_finished(&self) -> bool {
        self.unsent.is_empty()
    }

    fn is_watching(&self) -> bool {
        self.watched.is_some()
    }

    fn check_prefix(&mut self, pipe: &Pipe, log: Option<&Vec<Exchange>>) {
        if !is_text(&pipe.received) {
            self.take(&pipe.received, log);
        }
    }

    fn picture(&self, pipe: &Pipe, _: Option<&Vec<Exchange>>) -> Option<Watched<'_>> {
        if !pipe.is_told() || self.lines.is_none() || self.has_ended {
            return None;
        }
        Some((self.watched?, &self.stream.picture))
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
            is_waiting,
        } = circumstances;
        if pipe.is_lost() {
            return;
        }
        let age_ms = (now - self.connected_at).as_millis() as u64 + 1;
        // Refused at the limit of connections, or before it was known that it speaks HTTP.
        let is_over = self.is_over();
        let told = is_over || (log.is_none() && pipe.shut);
        let patience_ms = if told {
            LINGER_MS_MAX
        } else {
            HTTP_MS_MAX.min(AUTHENTICATE_MS_MAX)
        };
        let may_have_ended = age_ms >= patience_ms.min(idle_ms_max.unwrap_or(u64::MAX));
        if (pipe.closed && may_have_ended) || is_text(&pipe.received) {
            return;
        }
        if (!self.is_finished() && !pipe.client_ended) || is_waiting {
            return;
        }
        let rest = &pipe.received[self.read..];
        let is_late = |(_, response): (usize, Response)| response.status == 408;
        if pipe.shut && Response::parse(rest, false).is_some_and(is_late) {
            return;
        }
        let followed = |item: &Item| item.path.contains("index=");
        let pending = &self.items[self.answered..];
        if pipe.client_ended && pipe.closed && pending.first().is_some_and(followed) {
            // Who waits for a change and goes away is not answered.
            return;
        }
        assert!(
            pending.is_empty() && rest.is_empty(),
            "client {} was not answered: {pending:?} {:?}; {pipe:?} {log:?}",
            self.number,
            String::from_utf8_lossy(rest)
        );
        if self.lines.is_some() && (pipe.shut || pipe.closed) {
            assert!(self.has_ended, "a stream ends whole: {pipe:?}");
        }
        let must_end = self.ends() || pipe.client_ended || stopped;
        check_end(pipe, must_end, || {
            format!("client {} after {age_ms} ms: {:?}", self.number, self.items)
        });
    }
}

impl Response {
    /// The response at the beginning of the input, with its length. The head of one in chunks stands for
    /// a stream; no other answer is that long in a small world.
    fn parse(input: &[u8], is_head: bool) -> Option<(usize, Response)> {
        let end = input.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&input[..end - 4]).expect("text");
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").expect("a response");
        let mut response = Response {
            status: status[..3].parse().expect("a status"),
            index: None,
            is_chunked: false,
            closes: false,
            body: Vec::new(),
        };
        let mut len = 0;
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a field");
            match name {
                "Content-Length" => len = value.parse().expect("a length"),
                "X-Consul-Index" => response.index = value.parse().ok(),
                "Connection" => response.closes = value == "close",
                "Transfer-Encoding" => response.is_chunked = true,
                _ => {}
            }
        }
        // Of a request that has not arrived it is not known that it is HEAD.
        if !is_head || response.status == 408 {
            response.body = input.get(end..end + len)?.to_vec();
            end.checked_add(len).map(|len| (len, response))
        } else {
            Some((end, response))
        }
    }
}

/// The chunk at the beginning of the input, with the length of both.
fn chunk(input: &[u8]) -> Option<(usize, &[u8])> {
    let start = input.windows(2).position(|bytes| bytes == b"\r\n")? + 2;
    let digits = std::str::from_utf8(&input[..start - 2]).expect("text");
    let len = usize::from_str_radix(digits, 16).expect("the length of a chunk");
    let chunk = input.get(start..start + len)?;
    let end = input.get(start + len..start + len + 2)?;
    assert_eq!(end, b"\r\n", "a chunk has its end");
    Some((start + len + 2, chunk))
}

/// Whether it was refused before it was known to speak HTTP.
fn is_text(received: &[u8]) -> bool {
    let refusals = [Refusal::TooManyConnections, Refusal::LineOverdue];
    let line = |refusal: &Refusal| format!("ERROR {refusal}\n");
    let begins = |refusal: &Refusal| line(refusal).as_bytes().starts_with(received);
    !received.is_empty() && refusals.iter().any(begins)
}

/// An entry of Consul as the log has it.
fn entry(entry: &Value) -> Value {
    let service = &entry["Service"];
    json!({
        "id": service["ID"],
        "type": service["Service"],
        "ip": service["Address"],
        "port": service["Port"],
        "tags": service["Tags"],
        "meta": service["Meta"],
    })
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(bytes)))
}

/// Percent-encodes what is not plain.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
