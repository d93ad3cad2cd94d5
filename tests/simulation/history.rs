//! The state that follows from the changes of all turns.

use std::collections::BTreeMap;

use discovery_service::message::{Change, ChangeKind};
use uuid::Uuid;

use crate::model::Live;

#[derive(Default)]
pub struct History(BTreeMap<Uuid, Live>);

impl History {
    /// Applies the changes of one turn; panics when they contradict earlier ones.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let record = Live {
                service_type: change.service_type.to_string(),
                address: change.address,
                ttl_ms: change.ttl_ms,
                held: change.held,
                labels: change.labels.as_deref().cloned().unwrap_or_default(),
            };
            match change.kind {
                ChangeKind::Up => {
                    let before = self.0.insert(change.uuid, record);
                    assert!(before.is_none(), "registered twice: {change:?}");
                }
                ChangeKind::Updated | ChangeKind::Adopted { .. } => {
                    let before = self.0.insert(change.uuid, record);
                    assert!(before.is_some(), "changed, but not registered: {change:?}");
                }
                ChangeKind::TakenOver | ChangeKind::Yielded => {
                    panic!("there is no other node: {change:?}")
                }
                ChangeKind::Down { at, .. } => {
                    assert!(change.heartbeat <= at, "{change:?}");
                    let before = self.0.remove(&change.uuid);
                    assert_eq!(
                        before,
                        Some(record),
                        "the removal does not match the registration: {change:?}"
                    );
                }
            }
        }
    }

    /// The live registrations according to the changes.
    pub fn live(&self) -> &BTreeMap<Uuid, Live> {
        &self.0
    }
}
