//! One node, and an etcd that answers as the test says.

mod checking;
mod hearing;
mod upkeep;
mod writing;

use std::collections::HashMap;

use uuid::Uuid;

use super::*;
use crate::cluster::KeyId;
use crate::etcd::{Answer, Call, Change, Event, Failure, KeyValue, Report, Write, WriteOutcome};
use crate::limits::CLUSTER_WRITES_APART_MS;

const ME: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

#[derive(Default)]
struct Registry(HashMap<Name, Owned>);

impl Holdings for Registry {
    fn owned(&self, name: &Name) -> Option<Owned> {
        self.0.get(name).cloned()
    }
}

struct Rig {
    node: Node,
    registry: Registry,
    now: Moment,
    revision: u64,
    leases: i64,
}

fn name(number: u128) -> Name {
    Name {
        service_type: "hive".into(),
        id: KeyId::of(&Uuid::from_u128(number)),
    }
}

fn owned() -> Owned {
    Owned {
        address: ServiceAddress::new("10.0.0.7", 80).expect("an address"),
        ttl_ms: 30_000,
        held: false,
        labels: None,
        heartbeat: Moment::START,
    }
}

fn record(node: NodeId) -> Record {
    Record {
        address: owned().address,
        node,
        ttl_ms: 30_000,
        since: 7,
        held: false,
        labels: None,
    }
}

impl Rig {
    /// A node that has loaded an empty etcd.
    fn new() -> Self {
        let config = Config {
            id: ME,
            name: "a".to_owned(),
            version: "1".to_owned(),
            cluster: "default".to_owned(),
            layout: Layout::new("/d"),
            lease_s: 15,
            grace_ms: 3_000,
        };
        let mut rig = Rig {
            node: Node::new(config),
            registry: Registry::default(),
            now: Moment::from_millis(1_000),
            revision: 1,
            leases: 0,
        };
        rig.report(Report::LoadBegins);
        rig.report(Report::LoadEnds(1));
        rig.report(Report::Watching);
        rig
    }

    fn report(&mut self, report: Report) {
        self.node.on_report(report, &self.registry, self.now);
    }

    fn register(&mut self, number: u128) {
        self.registry.0.insert(name(number), owned());
        self.node.registered(&name(number), 7, 30_000);
    }

    fn next_call(&mut self) -> Option<Call> {
        self.node.next_call(&self.registry, self.now)
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_millis(ms);
        self.node.look(self.now);
    }

    /// The writes of the next call, which come to pass.
    fn written(&mut self) -> Vec<Write> {
        let writes = match self.next_call() {
            Some(Call::Apply(writes)) => writes,
            other => panic!("{other:?}"),
        };
        self.revision += 1;
        let outcomes = vec![WriteOutcome::Done; writes.len()];
        self.report(Report::Answered(Answer::Applied(self.revision, outcomes)));
        writes
    }

    /// Writes all that waits. Returns the transactions.
    fn write_all(&mut self) -> Vec<Vec<Write>> {
        let mut all = Vec::new();
        loop {
            self.pass(CLUSTER_WRITES_APART_MS);
            match self.node.next_call_due() {
                None => return all,
                Some(_) if self.node.leases.next(&self.node.all).is_none() => self.grant(),
                Some(_) => all.push(self.written()),
            }
        }
    }

    fn grant(&mut self) {
        assert_eq!(self.next_call(), Some(Call::Grant(15)));
        let lease = 100 + self.leases;
        self.leases += 1;
        self.report(Report::Answered(Answer::Granted(lease, 15)));
        let command = self.node.next_lease_command();
        assert_eq!(command, Some(LeaseCommand::Keep(lease, 15)));
    }

    fn put(&mut self, number: u128, value: Vec<u8>) {
        self.revision += 1;
        let pair = KeyValue {
            key: self.node.config.layout.registration(&name(number)),
            value,
            mod_revision: self.revision,
            ..KeyValue::default()
        };
        self.report(Report::Changed(Event::Put(pair)));
    }

    fn remove(&mut self, key: Vec<u8>) {
        let pair = KeyValue {
            key,
            mod_revision: self.revision,
            ..KeyValue::default()
        };
        self.report(Report::Changed(Event::Delete(pair)));
    }

    fn lose_lease_of(&mut self, node: NodeId, numbers: &[u128]) {
        self.revision += 1;
        self.remove(self.node.config.layout.marker(node, 9));
        for &number in numbers {
            self.remove(self.node.config.layout.registration(&name(number)));
        }
    }

    fn say_ready(&mut self, node: NodeId, seen: u64) {
        self.revision += 1;
        let value = format!(r#"{{"name":"b","version":"1","state":"ready","seen":{seen}}}"#);
        let pair = KeyValue {
            key: self.node.config.layout.node(node),
            value: value.into_bytes(),
            mod_revision: self.revision,
            ..KeyValue::default()
        };
        self.report(Report::Changed(Event::Put(pair)));
    }

    fn news(&mut self) -> Vec<News> {
        std::iter::from_fn(|| self.node.next_news()).collect()
    }
}

fn keys(writes: &[Write]) -> Vec<String> {
    let key = |write: &Write| String::from_utf8_lossy(&write.key).into_owned();
    writes.iter().map(key).collect()
}

fn leases(writes: &[Write]) -> Vec<i64> {
    let lease = |write: &Write| match write.change {
        Change::Put { lease, .. } => Some(lease),
        Change::Delete => None,
    };
    writes.iter().filter_map(lease).collect()
}

fn failure(code: u64) -> Report {
    Report::Answered(Answer::Failed(Failure {
        code,
        message: "no".to_owned(),
    }))
}
