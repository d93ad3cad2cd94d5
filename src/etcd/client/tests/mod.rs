//! The client against a member whose answers are written out.

mod calling;
mod watching;

use serde_json::{Value, json};

use super::*;

/// A client, the state of its links, and the time.
struct Rig {
    client: Client,
    now: Moment,
    /// What the client has sent on each link since it was opened.
    sent: [Vec<u8>; LINKS],
    is_open: [bool; LINKS],
    /// The members that were connected to, in their order, by the last number of their address.
    opened: Vec<(usize, u8)>,
    reports: Vec<Report>,
}

impl Rig {
    fn new(user: Option<User>) -> Self {
        let member = |number: u8| Member {
            address: ([10, 0, 0, number], 2379).into(),
            host: format!("10.0.0.{number}:2379"),
        };
        let config = Config {
            members: vec![member(1), member(2)],
            from: b"/d/".to_vec(),
            end: b"/d0".to_vec(),
            checked_key: b"/d/cluster".to_vec(),
            user,
        };
        // Nothing is swapped by it, and each pause is the longest.
        let random: Random = Box::new(|| (u64::MAX - 1) / 2 * 2 + 1);
        let mut rig = Rig {
            client: Client::new(config, random),
            now: Moment::START,
            sent: Default::default(),
            is_open: [false; LINKS],
            opened: Vec::new(),
            reports: Vec::new(),
        };
        rig.wait(0);
        rig
    }

    /// One that watches, from revision 6 on.
    fn watching() -> Self {
        let mut rig = Rig::new(None);
        rig.reach(5);
        rig.answer(CALLS, 200, &json!({"header": header(5)}));
        rig.line(&json!({"header": header(5), "created": true}));
        assert_eq!(rig.reports.last(), Some(&Report::Watching));
        rig.reports.clear();
        rig
    }

    /// Time passes, to each moment at which the client wants to look.
    fn wait(&mut self, ms: u64) {
        let end = self.now.plus_millis(ms);
        while let Some(due) = self.client.next_due().filter(|due| *due <= end) {
            let before = (self.now, self.client.next_due());
            self.now = self.now.max(due);
            self.client.look(self.now);
            self.settle();
            assert_ne!(before, (self.now, self.client.next_due()), "it spins");
        }
        self.now = end;
    }

    /// Runs the commands; every connection is opened at once.
    fn settle(&mut self) {
        while let Some(command) = self.client.next_command() {
            match command {
                LinkCommand::Open { link, address, .. } => {
                    let std::net::IpAddr::V4(ip) = address.ip() else {
                        panic!("{address}");
                    };
                    self.opened.push((link, ip.octets()[3]));
                    self.sent[link].clear();
                    self.is_open[link] = true;
                    self.client.link_event(link, LinkEvent::Opened, self.now);
                }
                LinkCommand::Send { link, bytes } => {
                    assert!(self.is_open[link]);
                    self.sent[link].extend(bytes);
                }
                LinkCommand::Close { link } => self.is_open[link] = false,
            }
        }
        self.reports
            .extend(std::iter::from_fn(|| self.client.next_report()));
    }

    fn receive(&mut self, link: usize, bytes: &[u8]) {
        assert!(self.is_open[link]);
        self.client
            .link_event(link, LinkEvent::Received(bytes), self.now);
        self.settle();
    }

    /// Answers the request on this link; what was sent counts from here.
    fn answer(&mut self, link: usize, status: u16, body: &Value) {
        assert!(!self.sent[link].is_empty(), "nothing was asked");
        self.sent[link].clear();
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.receive(link, (head + &body).as_bytes());
    }

    /// A line of the watch, the first one behind a head.
    fn line(&mut self, result: &Value) {
        let line = format!("{}\n", json!({ "result": result }));
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let is_first = result.get("created").is_some();
        let bytes = format!("{}{chunk}", if is_first { head } else { "" });
        self.receive(WATCH, bytes.as_bytes());
    }

    fn end(&mut self, link: usize) {
        assert!(std::mem::take(&mut self.is_open[link]));
        let end = LinkEvent::Closed(LinkEnd::Ended);
        self.client.link_event(link, end, self.now);
        self.settle();
    }

    /// Answers the version and the check, at this revision, and counts no keys where that is asked next.
    fn reach(&mut self, revision: u64) {
        self.answer(CALLS, 200, &json!({"etcdserver": "3.5.1"}));
        self.answer(CALLS, 200, &json!({"header": header(revision)}));
        self.count(revision);
    }

    /// Counts no keys where that was asked.
    fn count(&mut self, revision: u64) {
        if self.sent(CALLS).contains("count_only") {
            self.answer(CALLS, 200, &json!({"header": header(revision)}));
        }
    }

    fn sent(&self, link: usize) -> String {
        String::from_utf8_lossy(&self.sent[link]).into_owned()
    }

    fn asked(&self, link: usize, path: &str) -> bool {
        self.sent(link).contains(&format!(" {path} HTTP/1.1\r\n"))
    }

    /// Why the client went away last.
    fn cause(&self) -> Option<&Cause> {
        self.reports.iter().rev().find_map(|report| match report {
            Report::Away(trouble) => Some(&trouble.cause),
            _ => None,
        })
    }

    fn call(&mut self, call: Call) {
        self.client.call(call, self.now);
        self.settle();
    }

    fn answered(&self) -> Option<&Answer> {
        self.reports.iter().find_map(|report| match report {
            Report::Answered(answer) => Some(answer),
            _ => None,
        })
    }
}

fn header(revision: u64) -> Value {
    json!({"cluster_id": "11", "member_id": "1", "revision": revision.to_string(), "raft_term": "2"})
}
