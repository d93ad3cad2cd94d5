//! Servers that act like the nodes of one cluster, as far as a client can tell.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// A cluster. What one node knows, the others know at once, or when the test [delivers](Self::deliver) it.
#[derive(Clone, Default)]
pub struct Cluster {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    registrations: u64,
    /// What is on the way to each node: the UUID, and the place where it is, or was.
    changes: Vec<(usize, String, Option<String>)>,
    is_slow: bool,
}

#[derive(Default)]
struct Node {
    address: String,
    /// The place of each registration, and the connection that holds it here.
    known: BTreeMap<String, (String, Option<usize>)>,
    is_silent: bool,
    /// What it answers to everything but `ping`.
    refusal: Option<&'static str>,
    connections: Vec<TcpStream>,
    /// The commands that it has got.
    heard: Vec<String>,
    /// The places that its watchers were told to be down.
    down: Vec<String>,
}

impl Cluster {
    /// A cluster of so many nodes, and their addresses, separated by commas.
    pub fn of(count: usize) -> (Self, String) {
        let cluster = Cluster::default();
        for node in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("an address").to_string();
            cluster.state().nodes.push(Node {
                address,
                ..Node::default()
            });
            let cluster = cluster.clone();
            std::thread::spawn(move || {
                for (connection, stream) in listener.incoming().enumerate() {
                    let (cluster, stream) = (cluster.clone(), stream.expect("a connection"));
                    let handle = stream.try_clone().expect("a second handle");
                    cluster.state().nodes[node].connections.push(handle);
                    std::thread::spawn(move || cluster.serve(node, connection, &stream));
                }
            });
        }
        let addresses: Vec<String> = (0..count).map(|node| cluster.address(node)).collect();
        (cluster, addresses.join(","))
    }

    pub fn address(&self, node: usize) -> String {
        self.state().nodes[node].address.clone()
    }

    /// What a node answers to everything but `ping` from now on.
    pub fn refuse(&self, node: usize, refusal: Option<&'static str>) {
        self.state().nodes[node].refusal = refusal;
    }

    /// Whether a node answers nothing from now on.
    pub fn silence(&self, node: usize, is_silent: bool) {
        self.state().nodes[node].is_silent = is_silent;
    }

    /// Ends the connections of a node.
    pub fn hang_up(&self, node: usize) {
        for connection in &self.state().nodes[node].connections {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Lets changes wait from now on until they are delivered.
    pub fn slow_down(&self) {
        self.state().is_slow = true;
    }

    /// Lets every node know what the others know.
    pub fn deliver(&self) {
        let mut state = self.state();
        state.is_slow = false;
        state.deliver();
    }

    /// Registers a service at a node; returns its UUID.
    pub fn register(&self, node: usize, place: &str) -> String {
        self.state().add(node, place, None)
    }

    /// The UUIDs that a node knows.
    pub fn known(&self, node: usize) -> Vec<String> {
        self.state().nodes[node].known.keys().cloned().collect()
    }

    /// The commands that a node has got, of these verbs.
    pub fn heard(&self, node: usize, verbs: &[&str]) -> Vec<String> {
        let state = self.state();
        let is_one = |command: &&String| {
            let verb = command.split(' ').next();
            verb.is_some_and(|verb| verbs.contains(&verb))
        };
        let heard = state.nodes[node].heard.iter().filter(is_one);
        heard.cloned().collect()
    }

    /// The places that watchers of any node were told to be down.
    pub fn down(&self) -> Vec<String> {
        let state = self.state();
        let down = state.nodes.iter().flat_map(|node| &node.down);
        down.cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    fn serve(&self, node: usize, connection: usize, stream: &TcpStream) {
        let mut writer = stream;
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let answer = self.state().answer(node, connection, &line);
            if let Some(answer) = answer
                && writer.write_all(format!("{answer}\n").as_bytes()).is_err()
            {
                break;
            }
        }
        let mut state = self.state();
        let is_held =
            |(_, (_, holder)): &(&String, &(String, Option<usize>))| *holder == Some(connection);
        let held = state.nodes[node].known.iter().filter(is_held);
        let held: Vec<String> = held.map(|(uuid, _)| uuid.clone()).collect();
        for uuid in held {
            state.remove(node, &uuid);
        }
    }
}

impl Node {
    /// The first line of a watch.
    fn snapshot(&self) -> String {
        let row = |(uuid, (place, _)): (&String, &(String, Option<usize>))| {
            let words: Vec<&str> = place.split(' ').collect();
            let (service_type, ip, port) = (words[0], words[1], words[2]);
            // The same at every node.
            let id = &uuid[uuid.len() - 12..];
            format!(r#"{{"id":"{id}","type":"{service_type}","ip":"{ip}","port":{port}}}"#)
        };
        let rows: Vec<String> = self.known.iter().map(row).collect();
        format!(r#"{{"index":7,"services":[{}]}}"#, rows.join(","))
    }
}

impl State {
    fn answer(&mut self, node: usize, connection: usize, line: &str) -> Option<String> {
        let here = &mut self.nodes[node];
        here.heard.push(line.to_owned());
        if here.is_silent {
            return None;
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(refusal) = here.refusal.filter(|_| verb != "ping") {
            return Some(format!("ERROR {refusal}"));
        }
        let known = here.known.get(rest).map(|(place, _)| place.clone());
        let answer = match (verb, known) {
            ("ping", _) => "PONG".to_owned(),
            ("register", _) => self.add(node, rest, None),
            ("hold", _) => self.hold(node, connection, rest),
            ("heartbeat", Some(_)) => "OK".to_owned(),
            ("deregister", Some(_)) => {
                self.remove(node, rest);
                "OK".to_owned()
            }
            ("why", Some(place)) => live(&place),
            ("query", _) => "[]".to_owned(),
            ("watch", _) => here.snapshot(),
            _ => "NOT FOUND".to_owned(),
        };
        Some(answer)
    }

    /// Takes the place of what is held at another node.
    fn hold(&mut self, node: usize, connection: usize, place: &str) -> String {
        let known = &self.nodes[node].known;
        let replica = known
            .iter()
            .find(|(_, (other, holder))| other == place && holder.is_none());
        if let Some(uuid) = replica.map(|(uuid, _)| uuid.clone()) {
            self.nodes[node].known.remove(&uuid);
            self.tell(node, uuid, None);
        }
        self.add(node, place, Some(connection))
    }

    fn add(&mut self, node: usize, place: &str, holder: Option<usize>) -> String {
        self.registrations += 1;
        let uuid = format!("00000000-0000-4000-8000-{:012}", self.registrations);
        let entry = (place.to_owned(), holder);
        self.nodes[node].known.insert(uuid.clone(), entry);
        self.tell(node, uuid.clone(), Some(place.to_owned()));
        uuid
    }

    fn remove(&mut self, node: usize, uuid: &str) {
        let (place, _) = self.nodes[node].known.remove(uuid).expect("it is known");
        self.nodes[node].down.push(place);
        self.tell(node, uuid.to_owned(), None);
    }

    fn tell(&mut self, node: usize, uuid: String, place: Option<String>) {
        self.changes.push((node, uuid, place));
        if !self.is_slow {
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        for (from, uuid, place) in std::mem::take(&mut self.changes) {
            let others = self.nodes.iter_mut().enumerate();
            for (_, other) in others.filter(|(node, _)| *node != from) {
                match &place {
                    Some(place) => {
                        other.known.insert(uuid.clone(), (place.clone(), None));
                    }
                    None => {
                        other.known.remove(&uuid);
                    }
                }
            }
        }
    }
}

/// What `why` answers of a live registration with a TTL of 3 s.
fn live(place: &str) -> String {
    let words: Vec<&str> = place.split(' ').collect();
    let (service_type, ip, port) = (words[0], words[1], words[2]);
    format!(
        r#"{{"state":"live","id":"00000000000000aa","type":"{service_type}","ip":"{ip}","port":{port},"heartbeat":"2026-11-27T16:20:15.123Z","age_ms":0,"ttl_ms":3000,"held":true,"tags":[],"meta":{{}}}}"#
    )
}
