//! Requests whose answers come later: some of the service's answers are held back, as if they waited
//! for something, and delivered in another turn or when their time is up.

use std::collections::BTreeMap;

use discovery_service::message::{Delivery, Outcome, Reply, Request};
use discovery_service::service::Deliver;
use discovery_service::time::Moment;

use crate::rng::Rng;

pub struct Parking {
    rng: Rng,
    /// Percent of the answers that are held back.
    percent: u64,
    /// Answers that are held back, by session.
    parked: BTreeMap<usize, Parked>,
    /// From now on nothing is held back.
    over: bool,
}

struct Parked {
    reply: Reply,
    until: Option<Moment>,
}

impl Parking {
    pub fn new(rng: Rng, percent: u64) -> Self {
        Parking {
            rng,
            percent,
            parked: BTreeMap::new(),
            over: false,
        }
    }

    /// A session with a parked request runs no other.
    pub fn nothing_is_run_for(&self, session: usize) {
        let waits = self.parked.contains_key(&session);
        assert!(
            !waits,
            "session {session} runs a request while one is parked"
        );
    }

    /// Holds an answer back, perhaps.
    pub fn park_some(
        &mut self,
        session: usize,
        request: &Request<'_>,
        outcome: Outcome,
        now: Moment,
    ) -> Outcome {
        let Outcome::Done(reply) = outcome else {
            return outcome;
        };
        // Who asks is known at once.
        let is_auth = matches!(request, Request::Auth { .. });
        let may_wait = !is_auth && !matches!(reply, Reply::Bye | Reply::Refused(_));
        if self.over || !may_wait || !self.rng.chance(self.percent) {
            return Outcome::Done(reply);
        }
        let until = self
            .rng
            .chance(50)
            .then(|| now.plus_millis(self.rng.below(5_000)));
        self.parked.insert(session, Parked { reply, until });
        Outcome::Parked { until }
    }

    /// Delivers some of what is held back; all of it when it is over.
    pub fn deliver_some(&mut self, deliver: &mut Deliver<'_>) {
        let Parking {
            rng, over, parked, ..
        } = self;
        parked.retain(|&session, Parked { reply, .. }| {
            let stays = !*over && rng.chance(80);
            if !stays {
                deliver(session, &Delivery::Reply(reply.clone()));
                // Nobody waits for an answer twice.
                deliver(session, &Delivery::Reply(Reply::NotFound));
            }
            stays
        });
    }

    /// The time of the session's request is up.
    pub fn expire(&mut self, session: usize, now: Moment) -> Reply {
        let Parked { reply, until } = self.parked.remove(&session).expect("its request is parked");
        assert!(until.is_some_and(|until| until <= now), "before its time");
        reply
    }

    /// What was due by the last turn's moment was asked for in that turn.
    pub fn none_is_overdue(&self, last: Moment) {
        for (session, parked) in &self.parked {
            let overdue = parked.until.is_some_and(|until| until <= last);
            assert!(!overdue, "nobody asked for the answer to session {session}");
        }
    }

    /// The session has ended.
    pub fn leave(&mut self, session: usize) {
        self.parked.remove(&session);
    }

    pub fn answer_all(&mut self) {
        self.over = true;
    }
}
