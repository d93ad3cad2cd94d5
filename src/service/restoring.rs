//! Going on with the registrations of an earlier process.

use std::hash::BuildHasher;
use std::time::Duration;

use uuid::Uuid;

use super::Service;
use crate::message::Reason;
use crate::registry::{RegisterError, Registration};
use crate::state::{Record, Up};
use crate::time::Moment;

impl<S: BuildHasher> Service<S> {
    /// Does what a record of an earlier process says, before the first turn. What is registered then has
    /// one TTL from the first turn on. Nobody is told.
    ///
    /// # Errors
    /// [`RegisterError::Full`] where there is no room for the registration, or for its tags and metadata.
    pub fn restore(&mut self, record: Record<'_>) -> Result<(), RegisterError> {
        let now = Moment::START;
        let done = match record {
            Record::Up(up) => self.restore_up(&up),
            Record::Down(uuid) => {
                self.rights.forget(uuid);
                self.registry.deregister(now, &uuid, Reason::Deregistered);
                Ok(())
            }
            Record::Update { uuid, labels } => {
                let done = self.registry.update(now, &uuid, labels.as_deref());
                done.map(|_| ())
            }
            Record::Adopted {
                uuid,
                right,
                ttl_ms,
            } => self.restore_adopted(uuid, right, ttl_ms),
            Record::Index(_) => Ok(()),
        };
        self.registry.clear_changes();
        done
    }

    /// Bounds the number of registrations anew; those that are there stay.
    pub fn set_services_max(&mut self, services_max: u32) {
        self.registry.set_services_max(services_max);
    }

    /// Ends the restoring: goes on with the count of changes at `index` at least, and waits for those that
    /// held what is held.
    pub fn go_on_from(&mut self, index: u64) {
        self.registry.count_on_from(index);
        self.await_holders();
    }

    fn restore_up(&mut self, up: &Up<'_>) -> Result<(), RegisterError> {
        let now = Moment::START;
        self.rights.forget(up.uuid);
        // Its removal was lost.
        self.registry.deregister(now, &up.uuid, Reason::Replaced);
        let new = Registration {
            uuid: up.uuid,
            service_type: &up.service_type,
            address: up.address,
            ttl: Duration::from_millis(up.ttl_ms.into()),
            labels: up.labels.as_deref(),
        };
        if up.held {
            self.registry.hold(now, new)?;
        } else {
            self.registry.register(now, new)?;
        }
        if up.right != up.uuid {
            self.rights.set(up.uuid, up.right);
        }
        Ok(())
    }

    fn restore_adopted(
        &mut self,
        uuid: Uuid,
        right: Uuid,
        ttl_ms: u32,
    ) -> Result<(), RegisterError> {
        let now = Moment::START;
        let Some(record) = self.registry.get(now, &uuid) else {
            return Ok(());
        };
        let labels = record.labels.cloned();
        let ttl = Duration::from_millis(ttl_ms.into());
        if self
            .registry
            .adopt(now, &uuid, right, ttl, labels.as_deref())?
        {
            self.rights.set(uuid, right);
        }
        Ok(())
    }
}
