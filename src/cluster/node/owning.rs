//! What changes at this node.

use super::Node;
use crate::cluster::known::{Known, Role};
use crate::cluster::name::Name;
use crate::message::Reason;
use crate::time::Moment;

impl Node {
    /// It was registered here at `since`, in milliseconds since 1970 by this node's clock.
    pub fn registered(&mut self, name: &Name, since: i64, ttl_ms: u32) {
        self.departed.forget(name);
        let known = self.claimed(name);
        let known = Known {
            since,
            ttl_ms,
            ..known
        };
        self.set(name, known);
        self.enqueue(name);
    }

    /// A replica was heard of here, and is owned from now on.
    pub fn took_over(&mut self, name: &Name) {
        let known = self.claimed(name);
        self.set(name, known);
        self.enqueue(name);
    }

    /// What etcd is to tell of it has changed.
    pub fn updated(&mut self, name: &Name) {
        self.enqueue(name);
    }

    /// A registration of this node or a replica was removed here.
    pub fn removed(&mut self, name: &Name, reason: Reason, now: Moment) {
        self.catch_up(name, now);
        let Some(known) = self.all.get(name) else {
            return;
        };
        if reason != Reason::Expired {
            self.departed.add(name, known.since, known.ttl_ms, now);
        }
        if known.is_there || self.is_sent(name) {
            let (role, lease) = (Role::Leaving, 0);
            self.set(
                name,
                Known {
                    role,
                    lease,
                    ..known
                },
            );
            self.enqueue(name);
        } else {
            self.forget(name);
        }
    }

    /// A new registration has taken the place of another one, here or elsewhere: others are told both
    /// at once.
    pub fn took_place(&mut self, of: &Name, name: &Name, since: i64, ttl_ms: u32, now: Moment) {
        let before = self.queue.len();
        self.removed(of, Reason::Replaced, now);
        self.registered(name, since, ttl_ms);
        if self.queue.len() == before + 2
            && let Some(last) = self.queue.back_mut()
        {
            last.is_joined = true;
        }
    }

    /// What is known of it, as of what is owned here.
    fn claimed(&self, name: &Name) -> Known {
        let role = Role::Own { is_claim: true };
        let known = self.all.get(name).map(|known| self.caught_up(known));
        let load = self.load;
        let known = known.unwrap_or(Known {
            load,
            ..Known::default()
        });
        Known { role, ..known }
    }
}
