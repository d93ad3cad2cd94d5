//! Applies the lines of a watcher's stream.

use serde_json::{Value, json};

use crate::model::Picture;

/// The state of a watcher.
#[derive(Default)]
pub struct Stream {
    /// Bytes of complete lines that were read.
    read: usize,
    pub index: Option<u64>,
    /// Snapshots received.
    pub states: u64,
    /// The number of the part of a snapshot that must come next.
    pub part: Option<u64>,
    /// The index of the last delta.
    last_delta: Option<u64>,
    /// Lines received.
    pub lines: u64,
    pub picture: Picture,
    /// Lines that are no part of the stream.
    pub replies: Vec<String>,
}

impl Stream {
    /// Reads the complete lines of the stream, `bytes`, that were not read yet.
    pub fn read(&mut self, bytes: &[u8]) {
        while let Some(end) = bytes[self.read..].iter().position(|&byte| byte == b'\n') {
            let line = std::str::from_utf8(&bytes[self.read..self.read + end]).expect("text");
            self.read += end + 1;
            match serde_json::from_str::<Value>(line) {
                Ok(line) => self.apply(&line),
                Err(_) => self.replies.push(line.to_owned()),
            }
        }
    }

    /// Whether it has a whole snapshot.
    pub fn is_whole(&self) -> bool {
        self.states > 0 && self.part.is_none()
    }

    fn apply(&mut self, line: &Value) {
        let index = line["index"].as_u64().expect("an index");
        let services = |key: &str| {
            let service = |service: &Value| {
                let text = |key: &str| service[key].as_str().expect("text").to_owned();
                let ip = text("ip").parse().expect("an ip");
                let port = service["port"].as_u64().expect("a port");
                let empty = json!({"tags": [], "meta": {}});
                let labels = ["tags", "meta"].map(|key| match &service[key] {
                    Value::Null => (key.to_owned(), empty[key].clone()),
                    value => (key.to_owned(), value.clone()),
                });
                let labels = Value::Object(labels.into_iter().collect());
                (text("id"), (text("type"), ip, port, labels))
            };
            line[key]
                .as_array()
                .map(|list| list.iter().map(service).collect::<Vec<_>>())
        };
        match (services("services"), services("up"), services("down")) {
            (Some(services), None, None) => {
                assert!(
                    self.index.is_none_or(|last| last <= index),
                    "the index went back: {line}"
                );
                self.take_part(line["part"].as_u64(), line["more"] == true);
                for (id, service) in services {
                    let known = self.picture.insert(id, service.clone());
                    let is_same = |known: (_, _, _, _)| {
                        (known.0, known.1, known.2) == (service.0, service.1, service.2)
                    };
                    assert!(
                        known.is_none_or(is_same),
                        "another service with the same id: {line}"
                    );
                }
            }
            (None, Some(up), Some(down)) => {
                let same_turn = self.last_delta == Some(index);
                assert!(
                    self.index.is_some_and(|last| last < index) || same_turn,
                    "a delta without a higher index: {line}"
                );
                self.last_delta = Some(index);
                self.picture.extend(up);
                for (id, _) in down {
                    let known = self.picture.remove(&id).is_some();
                    assert!(
                        known || self.part.is_some(),
                        "the watcher did not know the removed service: {line}"
                    );
                }
                for removal in line["down"].as_array().expect("a list") {
                    assert!(
                        removal["reason"].is_string(),
                        "a removal has a reason: {line}"
                    );
                }
            }
            (None, None, None) => {
                assert!(
                    self.index.is_some_and(|last| last <= index),
                    "a keepalive before the snapshot, or with a lower index: {line}"
                )
            }
            _ => panic!("not a line of a stream: {line}"),
        }
        self.index = Some(index);
        self.lines += 1;
    }

    /// The parts of a snapshot come in their order; the first replaces all.
    fn take_part(&mut self, number: Option<u64>, more: bool) {
        let number = number.unwrap_or(1);
        if number == 1 {
            self.states += 1;
            self.picture.clear();
        } else {
            assert_eq!(Some(number), self.part, "a part of the snapshot is missing");
        }
        self.part = more.then_some(number + 1);
    }
}
