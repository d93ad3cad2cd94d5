//! What other nodes of a cluster own, in the list and in the registry.

use std::hash::BuildHasher;
use std::time::Duration;

use discovery_service::cluster::KeyId;
use discovery_service::message::{NodeNumber, Reason};
use discovery_service::registry::{RegisterError, Registry, Replica};
use uuid::Uuid;

use crate::model::{IPS, LABELS, Model, Row, TYPES, address, at, labels, uuid};

/// A step that another node causes, or that takes something from one.
#[derive(Clone, Copy, Debug)]
pub enum Elsewhere {
    /// Another node owns it from now on, whoever has owned it before.
    Put {
        node: u32,
        service_type: usize,
        ip: usize,
        port: u16,
        held: bool,
    },
    /// It is heard of here.
    TakeOver,
    /// It is gone.
    Remove,
}

pub fn key(uuid: &Uuid) -> Uuid {
    KeyId::of(uuid).as_uuid()
}

impl Model {
    pub fn elsewhere<S: BuildHasher>(
        &mut self,
        registry: &mut Registry<S>,
        number: usize,
        step: Elsewhere,
    ) {
        let uuid = uuid(number);
        let key = key(&uuid);
        let row = self
            .rows
            .iter()
            .position(|row| row.uuid == uuid && row.elsewhere);
        match step {
            Elsewhere::Put {
                node,
                service_type,
                ip,
                port,
                held,
            } => {
                if registry.yield_to(NodeNumber(node), &uuid, key) {
                    let own = self.rows.iter_mut().find(|row| row.uuid == uuid);
                    own.expect("it was stored").elsewhere = true;
                }
                let row = Row {
                    uuid,
                    service_type: TYPES[service_type],
                    address: address(IPS[ip], port),
                    last_heartbeat: self.now,
                    ttl_ms: 100,
                    held,
                    labels: usize::from(port) % LABELS,
                    elsewhere: true,
                };
                self.put(registry, node, key, row);
            }
            Elsewhere::TakeOver => {
                let is_free = row.is_some_and(|row| !self.rows[row].held);
                assert_eq!(registry.take_over(at(self.now), &key, uuid), is_free);
                if is_free {
                    let row = &mut self.rows[row.expect("it is there")];
                    (row.elsewhere, row.last_heartbeat) = (false, self.now);
                    assert!(!row.held);
                }
            }
            Elsewhere::Remove => {
                let removed = registry.remove_replica(at(self.now), &key, Reason::Deregistered);
                assert_eq!(removed, row.is_some());
                if let Some(row) = row {
                    self.rows.remove(row);
                }
            }
        }
    }

    fn put<S: BuildHasher>(
        &mut self,
        registry: &mut Registry<S>,
        node: u32,
        key: Uuid,
        mut row: Row,
    ) {
        let set = labels(row.labels);
        let replica = Replica {
            key,
            owner: NodeNumber(node),
            service_type: row.service_type,
            address: row.address,
            ttl: Duration::from_millis(row.ttl_ms),
            held: row.held,
            labels: set.as_ref(),
        };
        let is_full = registry.len() == registry.services_max() as usize;
        let put = registry.put_replica(at(self.now), &replica);
        let before = self.rows.iter().position(|other| other.uuid == row.uuid);
        // What was here of it has expired and is not stored any more, or is elsewhere.
        let before = match before {
            Some(place) if !self.rows[place].elsewhere => {
                self.rows.remove(place);
                None
            }
            before => before,
        };
        let Some(place) = before else {
            assert_eq!(
                put,
                if is_full {
                    Err(RegisterError::Full)
                } else {
                    Ok(())
                }
            );
            if !is_full {
                self.registered += 1;
                self.rows.push(row);
            }
            return;
        };
        assert_eq!(put, Ok(()));
        let known = &mut self.rows[place];
        if (known.service_type, known.address) == (row.service_type, row.address) {
            self.updates += u64::from(known.labels != row.labels);
            std::mem::swap(known, &mut row);
        } else {
            self.registered += 1;
            self.rows.remove(place);
            self.rows.push(row);
        }
        let record = registry.replica(at(self.now), &key).expect("it is there");
        assert_eq!(record.owner, Some(NodeNumber(node)));
    }
}
