//! Applies the lines of a watcher's stream.

use serde_json::Value;

use crate::model::Picture;

/// The state of a watcher.
#[derive(Default)]
pub struct Stream {
    /// Bytes of complete lines that were read.
    read: usize,
    pub index: Option<u64>,
    /// Snapshots received.
    pub states: u64,
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

    fn apply(&mut self, line: &Value) {
        let index = line["index"].as_u64().expect("an index");
        let services = |key: &str| {
            let service = |service: &Value| {
                let text = |key: &str| service[key].as_str().expect("text").to_owned();
                let ip = text("ip").parse().expect("an ip");
                (text("type"), ip, service["port"].as_u64().expect("a port"))
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
                self.states += 1;
                self.picture.clear();
                services
                    .into_iter()
                    .for_each(|service| *self.picture.entry(service).or_default() += 1);
            }
            (None, Some(up), Some(down)) => {
                assert!(
                    self.index.is_some_and(|last| last < index),
                    "a delta without a higher index: {line}"
                );
                for (list, sign) in [(up, 1), (down, -1)] {
                    list.into_iter()
                        .for_each(|service| *self.picture.entry(service).or_default() += sign);
                }
                assert!(
                    self.picture.values().all(|&count| count >= 0),
                    "the watcher did not know the removed service: {line}"
                );
                self.picture.retain(|_, count| *count > 0);
            }
            (None, None, None) => {
                assert!(self.index.is_some(), "a keepalive came before the snapshot")
            }
            _ => panic!("not a line of a stream: {line}"),
        }
        self.index = Some(index);
        self.lines += 1;
    }
}
