//! What the registry must answer: a plain `Vec`, scanned from front to back at every request.

use std::collections::BTreeSet;
use std::time::Duration;

use discovery_service::message::{Refusal, Reply, Request, ServiceAddress};
use discovery_service::time::Moment;
use uuid::Uuid;

pub struct Model {
    entries: Vec<Entry>,
    services_max: usize,
    ttl: Duration,
    /// The token that clients must show, if they must.
    token: Option<&'static str>,
    /// The clients that have shown it.
    admitted: BTreeSet<usize>,
}

struct Entry {
    uuid: Uuid,
    service_type: String,
    address: ServiceAddress,
    heartbeat: Moment,
}

impl Model {
    pub fn new(services_max: usize, ttl: Duration, token: Option<&'static str>) -> Self {
        Model { entries: Vec::new(), services_max, ttl, token, admitted: BTreeSet::new() }
    }

    /// The number of registrations that are live at `now`.
    pub fn live(&mut self, now: Moment) -> usize {
        self.entries.retain(|entry| now.since(entry.heartbeat) < self.ttl);
        self.entries.len()
    }

    /// Applies the request as it must be applied, and panics when `reply` is another answer than
    /// it must be. A new UUID is the service's choice; the model takes it over.
    pub fn check(&mut self, client: usize, request: &Request<'_>, reply: &Reply, now: Moment) {
        let live = self.live(now);
        match request {
            Request::Auth { token } => {
                let right = self.token.is_none_or(|right| right == token);
                if right {
                    self.admitted.insert(client);
                }
                match reply {
                    Reply::Ok => assert!(right, "a wrong token was accepted"),
                    Reply::Refused(Refusal::AuthenticationFailed) => assert!(!right, "the token was refused"),
                    other => panic!("auth was answered {other:?}"),
                }
            }
            _ if self.token.is_some() && !self.admitted.contains(&client) => {
                let refused = matches!(reply, Reply::Refused(Refusal::AuthenticationRequired));
                assert!(refused, "a stranger was answered {reply:?}");
            }
            Request::Register { service_type, address } => match reply {
                Reply::Registered(uuid) => {
                    assert!(live < self.services_max, "registered beyond --max-services");
                    assert!(self.entries.iter().all(|entry| entry.uuid != *uuid), "a UUID was given twice");
                    self.entries.push(Entry {
                        uuid: *uuid,
                        service_type: service_type.as_str().to_owned(),
                        address: *address,
                        heartbeat: now,
                    });
                }
                Reply::Refused(Refusal::RegistryFull) => {
                    assert_eq!(live, self.services_max, "refused below --max-services");
                }
                other => panic!("register was answered {other:?}"),
            },
            Request::Heartbeat { uuid } => {
                let entry = self.entries.iter_mut().find(|entry| Some(entry.uuid) == *uuid);
                match (entry, reply) {
                    (Some(entry), Reply::Ok) => entry.heartbeat = now,
                    (None, Reply::NotFound) => {}
                    (entry, other) => panic!("heartbeat was answered {other:?}, live: {}", entry.is_some()),
                }
            }
            Request::Query { service_type } => {
                let objects: Vec<String> = self
                    .entries
                    .iter()
                    .filter(|entry| entry.service_type == service_type.as_str())
                    .map(|entry| format!(r#"{{"ip":"{}","port":{}}}"#, entry.address.ip, entry.address.port))
                    .collect();
                let array = format!("[{}]", objects.join(","));
                let Reply::Services(services) = reply else { panic!("query was answered {reply:?}") };
                assert_eq!(String::from_utf8_lossy(services.array()), array);
            }
        }
    }
}
