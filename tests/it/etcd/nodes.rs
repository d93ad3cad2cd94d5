//! Nodes of a cluster with the real client and real etcds: the failures in which much depends on what
//! etcd itself does. `tests/cluster` has all of them, with an etcd that is simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use discovery_service::cluster::{
    Config, Holdings, KeyId, Layout, LeaseCommand, Name, News, Node, NodeId, Owned, Record,
};
use discovery_service::etcd::{self, Cause, Member, Report};
use discovery_service::message::{Reason, ServiceAddress};
use discovery_service::time::Moment;

use super::against_each;
use super::driver::{Driver, Etcd, VERSIONS, member};
use super::proxy::Proxy;
use crate::common::{signal, wait_until};

const TTL_MS: u32 = 8_000;

#[derive(Default)]
struct Registry {
    own: BTreeMap<Name, Owned>,
    replicas: BTreeMap<Name, Record>,
}

impl Holdings for Registry {
    fn owned(&self, name: &Name) -> Option<Owned> {
        self.own.get(name).cloned()
    }
}

/// A node with its client.
struct Site {
    node: Node,
    driver: Driver,
    registry: Registry,
    /// What was told as gone.
    gone: Vec<Name>,
    /// The member that was reached last.
    member: Option<SocketAddr>,
    /// Why it was away, each time.
    causes: Vec<Cause>,
    /// When it asked etcd last, but for its watch and its leases.
    asked: Moment,
}

impl Site {
    fn new(etcd: &Etcd, id: u64) -> Self {
        Site::of(vec![etcd.member()], id)
    }

    fn of(members: Vec<Member>, id: u64) -> Self {
        let layout = Layout::new("/discovery");
        let config = etcd::Config {
            members,
            from: layout.from(),
            end: layout.end(),
            checked_key: layout.cluster(),
            user: None,
        };
        let node = Node::new(Config {
            id: NodeId(id),
            name: id.to_string(),
            version: "1".to_owned(),
            cluster: "default".to_owned(),
            layout,
            lease_s: 5,
            grace_ms: 3_000,
        });
        Site {
            node,
            driver: Driver::of(config),
            registry: Registry::default(),
            gone: Vec::new(),
            member: None,
            causes: Vec::new(),
            asked: Moment::START,
        }
    }

    fn turn(&mut self) {
        let now = self.driver.now();
        for owned in self.registry.own.values_mut() {
            owned.heartbeat = now;
        }
        self.driver.turn();
        for report in std::mem::take(&mut self.driver.reports) {
            match &report {
                Report::Reached { member, .. } => self.member = Some(*member),
                Report::Away(trouble) => self.causes.push(trouble.cause.clone()),
                _ => {}
            }
            self.node.on_report(report, &self.registry, now);
        }
        self.node.look(now);
        while let Some(command) = self.node.next_lease_command() {
            match command {
                LeaseCommand::Keep(lease, seconds) => self.driver.keep(lease, seconds),
                LeaseCommand::LetGo(lease) => self.driver.let_go(lease),
            }
        }
        while let Some(news) = self.node.next_news() {
            match news {
                News::Replica(name, record) => {
                    self.registry.own.remove(&name);
                    self.registry.replicas.insert(name, record);
                }
                News::Gone(name, _) => {
                    self.registry.own.remove(&name);
                    self.registry.replicas.remove(&name);
                    self.gone.push(name);
                }
                News::OtherCluster(name) => panic!("the cluster is {name:?}"),
            }
        }
        if !self.driver.is_busy()
            && let Some(call) = self.node.next_call(&self.registry, now)
        {
            self.asked = now;
            self.driver.begin_call(call);
        }
    }

    fn register(&mut self, number: u128) {
        let owned = Owned {
            address: ServiceAddress::new("10.0.0.7", number as u64).expect("an address"),
            ttl_ms: TTL_MS,
            held: false,
            labels: None,
            heartbeat: self.driver.now(),
        };
        self.registry.own.insert(name(number), owned);
        self.node.registered(&name(number), 7, TTL_MS);
    }

    fn deregister(&mut self, number: u128) {
        self.registry.own.remove(&name(number));
        self.registry.replicas.remove(&name(number));
        let now = self.driver.now();
        self.node.removed(&name(number), Reason::Deregistered, now);
    }

    fn take_over(&mut self, number: u128) {
        let record = self.registry.replicas.remove(&name(number));
        let record = record.expect("it is known");
        let owned = Owned {
            address: record.address,
            ttl_ms: record.ttl_ms,
            held: record.held,
            labels: record.labels,
            heartbeat: self.driver.now(),
        };
        self.registry.own.insert(name(number), owned);
        self.node.took_over(&name(number));
    }

    /// The numbers of what it has.
    fn has(&self, numbers: impl IntoIterator<Item = u128>) -> bool {
        let all: BTreeSet<Name> = numbers.into_iter().map(name).collect();
        let (own, replicas) = (self.registry.own.keys(), self.registry.replicas.keys());
        own.chain(replicas).cloned().collect::<BTreeSet<_>>() == all
    }
}

fn name(number: u128) -> Name {
    Name {
        service_type: "hive".into(),
        id: KeyId::of(&uuid::Uuid::from_u128(number)),
    }
}

/// Lets both take turns until this is so.
fn wait(sites: &mut [Site; 2], what: &str, is: impl Fn(&[Site; 2]) -> bool) {
    wait_until(what, || {
        for site in sites.iter_mut() {
            site.turn();
        }
        is(sites).then_some(())
    });
}

/// Both have these, nothing waits to be written, and etcd has as many.
fn wait_for_all(etcd: &Etcd, sites: &mut [Site; 2], numbers: std::ops::Range<u128>) {
    wait(sites, "both know all", |sites| {
        let is = |site: &Site| site.has(numbers.clone()) && site.node.is_settled();
        sites.iter().all(is) && registrations(etcd) == Some(numbers.clone().count() as u64)
    });
}

/// The number of registrations that etcd has.
fn registrations(etcd: &Etcd) -> Option<u64> {
    // All keys below `/discovery/v1/reg/`.
    let body = r#"{"key":"L2Rpc2NvdmVyeS92MS9yZWcv","range_end":"L2Rpc2NvdmVyeS92MS9yZWcw","count_only":true}"#;
    let answer = etcd.try_ask("/v3/kv/range", body)?;
    let count = answer.get("count").and_then(|count| count.as_str());
    Some(count.map_or(0, |count| count.parse().expect("a number")))
}

/// Two nodes that own twenty registrations each.
fn sites(etcd: &Etcd) -> [Site; 2] {
    filled(etcd, [Site::new(etcd, 1), Site::new(etcd, 2)])
}

/// These nodes, when they own twenty registrations each.
fn filled(etcd: &Etcd, mut sites: [Site; 2]) -> [Site; 2] {
    for number in 0..20 {
        sites[0].register(1 + number);
        sites[1].register(21 + number);
    }
    wait_for_all(etcd, &mut sites, 1..41);
    sites
}

fn nothing_has_gone(sites: &[Site; 2]) {
    for site in sites {
        assert_eq!(site.gone, []);
    }
}

#[test]
fn row_61_what_moves_from_a_node_that_dies_stays_and_what_is_deregistered_goes() {
    against_each(|etcd| {
        let [mut first, second] = sites(&etcd);
        drop(second);
        for number in 21..31 {
            first.take_over(number);
        }
        first.deregister(1);
        let mut sites = [first, Site::new(&etcd, 3)];
        // It is not in etcd any more when its lease is over.
        wait(&mut sites, "etcd has what lives", |_| {
            registrations(&etcd) == Some(29)
        });
        wait_for_all(&etcd, &mut sites, 2..31);
        let gone: BTreeSet<&Name> = sites[0].gone.iter().collect();
        assert_eq!(gone.len(), 10, "what has not moved, at the end of its TTL");
    });
}

#[test]
fn row_61_an_etcd_that_is_killed_and_comes_back_is_not_missed() {
    against_each(|mut etcd| {
        let mut sites = sites(&etcd);
        etcd.kill();
        sites[0].register(41);
        wait(&mut sites, "it is noticed", |sites| {
            !sites.iter().any(|site| site.node.is_watching())
        });
        etcd.run();
        wait_for_all(&etcd, &mut sites, 1..42);
        nothing_has_gone(&sites);
    });
}

#[test]
fn row_61_leases_that_are_revoked_and_keys_that_are_deleted_come_back() {
    against_each(|etcd| {
        let mut sites = sites(&etcd);
        let leases = etcd.ask("/v3/lease/leases", "{}");
        for lease in leases["leases"].as_array().expect("a list") {
            let id = lease["ID"].as_str().expect("a number");
            etcd.ask("/v3/lease/revoke", &format!(r#"{{"ID":"{id}"}}"#));
        }
        assert_eq!(registrations(&etcd), Some(0));
        wait_for_all(&etcd, &mut sites, 1..41);
        etcd.ask("/v3/kv/deleterange", r#"{"key":"AA==","range_end":"AA=="}"#);
        wait_for_all(&etcd, &mut sites, 1..41);
        nothing_has_gone(&sites);
    });
}

#[test]
fn row_61_an_etcd_that_was_wiped_is_filled_and_one_that_was_restored_brings_nothing_back() {
    against_each(|mut etcd| {
        let mut sites = sites(&etcd);
        etcd.kill();
        let backup = etcd.back_up();
        drop(etcd.wipe());
        etcd.run();
        wait_for_all(&etcd, &mut sites, 1..41);
        nothing_has_gone(&sites);

        sites[1].deregister(40);
        sites[0].take_over(39);
        wait_for_all(&etcd, &mut sites, 1..40);
        sites.iter_mut().for_each(|site| site.gone.clear());
        etcd.restore(backup);
        etcd.run();
        wait_for_all(&etcd, &mut sites, 1..40);
        for site in &sites {
            assert!(
                site.gone.iter().all(|gone| *gone == name(40)),
                "{:?}",
                site.gone
            );
        }
    });
}

#[test]
fn row_61_a_node_that_is_cut_until_its_lease_is_lost_is_not_missed() {
    against_each(|etcd| {
        let proxy = Proxy::start(etcd.address);
        let first = Site::of(vec![member(proxy.address)], 1);
        let mut sites = filled(&etcd, [first, Site::new(&etcd, 2)]);
        proxy.cut();
        sites[0].register(41);
        wait(&mut sites, "its lease is lost", |sites| {
            registrations(&etcd) == Some(20) && sites[1].node.orphans_len() == 20
        });
        proxy.heal();
        wait_for_all(&etcd, &mut sites, 1..42);
        nothing_has_gone(&sites);
    });
}

#[test]
fn row_61_a_leader_that_dies_is_not_missed() {
    for mut members in VERSIONS.into_iter().filter_map(Etcd::start_three) {
        let leader = members.iter().position(Etcd::is_leader);
        let leader = leader.expect("there is one");
        let other = (leader + 1) % members.len();
        let asked = [leader, other].map(|at| members[at].member());
        let all = members.iter().map(Etcd::member).collect();
        let sites = [Site::of(asked.to_vec(), 1), Site::of(all, 2)];
        let mut sites = filled(&members[other], sites);
        assert_eq!(sites[0].member, Some(members[leader].address));
        members[leader].kill();
        sites[0].register(41);
        sites[1].deregister(1);
        wait_for_all(&members[other], &mut sites, 2..42);
        assert_eq!(sites[0].gone, [name(1)]);
        assert_eq!(sites[1].gone, []);
    }
}

#[test]
fn row_61_an_etcd_that_is_suspended_is_noticed_within_10_s_and_not_missed() {
    against_each(|etcd| {
        let mut sites = sites(&etcd);
        // Behind the registrations a node writes that it is ready. A call that is not answered would be late
        // before the watch is silent.
        wait(&mut sites, "nothing is left to be asked", |sites| {
            let is_quiet = |site: &Site| {
                let quiet_ms = site.driver.now().millis_since(site.asked);
                !site.driver.is_busy() && quiet_ms >= 1_000
            };
            sites.iter().all(is_quiet)
        });
        sites.iter_mut().for_each(|site| site.causes.clear());
        let stopped = sites[0].driver.now();
        signal(etcd.process(), "STOP");
        wait(&mut sites, "it is noticed", |sites| {
            !sites.iter().any(|site| site.node.is_watching())
        });
        let after_ms = sites[0].driver.now().millis_since(stopped);
        signal(etcd.process(), "CONT");
        assert!(after_ms <= 12_000, "after {after_ms} ms");
        for site in &sites {
            // What it tries next, while the other notices too, is late.
            assert_eq!(site.causes[0], Cause::SilentWatch);
        }
        // All leases are lost when it wakes.
        wait_for_all(&etcd, &mut sites, 1..41);
        nothing_has_gone(&sites);
    });
}
