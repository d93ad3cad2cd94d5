//! Decodes requests, runs them, and encodes the replies.

use super::feed::Feed;
use super::{Awaited, Pause, Phase, Session};
use crate::limits::REFUSAL_WORK;
use crate::message::{CloseReason, Outcome, Refusal, Reply, Responder, Verb};
use crate::time::Moment;
use crate::wire::text::HEARTBEAT_LEN;
use crate::wire::{Decoded, Step};

impl Session {
    /// Runs the requests in `input`, as long as pending output has at most `output_len_max` bytes and the
    /// `share` of work lasts, which it counts down. Returns the number of bytes it used and the reason it
    /// stopped.
    pub(super) fn run(
        &mut self,
        input: &[u8],
        responder: &mut impl Responder,
        now: Moment,
        output_len_max: usize,
        share: &mut usize,
    ) -> (usize, Pause) {
        let mut used = 0;
        loop {
            if let Some(pause) = self.pause(output_len_max, *share) {
                let used = if pause == Pause::Ended {
                    input.len()
                } else {
                    used
                };
                // The service delays this request, so the limit on slow peers does not apply.
                self.request_since = None;
                return (used, pause);
            }
            // The fast path: nearly all requests are frequent ones.
            let len = self.run_frequent(&input[used..], responder, now, share);
            if len > 0 {
                used += len;
                continue;
            }
            if self.codec.needs_input(&input[used..]) {
                self.request_since = None;
                return (used, Pause::Starved);
            }
            let Step { consumed, decoded } = self.codec.decode(&input[used..]);
            match self.decide(decoded, responder, now) {
                Decided::Taken(work) => {
                    self.request_since = None;
                    *share = share.saturating_sub(work);
                }
                Decided::Retry => {
                    self.request_since = None;
                    return (used, Pause::Retry);
                }
                Decided::Blocked => {
                    self.request_since = None;
                    return (used, Pause::Parked);
                }
                Decided::Incomplete => {
                    used += consumed;
                    self.note_incomplete(used, input.len(), now);
                    return (used, Pause::Starved);
                }
            }
            used += consumed;
        }
    }

    /// Runs what is frequent at the front of the input, if it is answered at once: one request, or some
    /// heartbeats as long as the `share` of work lasts. Returns the number of bytes it used.
    #[inline]
    fn run_frequent(
        &mut self,
        input: &[u8],
        responder: &mut impl Responder,
        now: Moment,
        share: &mut usize,
    ) -> usize {
        const HEARTBEAT_WORK: usize = Verb::Heartbeat.work();
        let (len, work) = if let Some(heartbeats) =
            self.codec.heartbeats(input, share.div_ceil(HEARTBEAT_WORK))
        {
            let heard = responder.hear(&heartbeats, &self.peer);
            if heard == 0 {
                return 0;
            }
            self.append(&Reply::Ok, heard, now);
            (heard * HEARTBEAT_LEN, heard * HEARTBEAT_WORK)
        } else if let Some((request, len)) = self.codec.frequent(input)
            && let Some(reply) = responder.answer_at_once(&request, &self.peer)
        {
            self.append(&reply, 1, now);
            (len, request.verb().work())
        } else {
            return 0;
        };
        self.completed_at = now;
        self.request_since = None;
        *share = share.saturating_sub(work);
        len
    }

    /// Why the next request is not decoded, if there is a reason.
    fn pause(&self, output_len_max: usize, share: usize) -> Option<Pause> {
        if self.phase != Phase::Open {
            Some(Pause::Ended)
        } else if self.output.len() > output_len_max {
            Some(Pause::Full)
        } else if self.is_parked() || self.needs_snapshot() {
            Some(Pause::Parked)
        } else if share == 0 {
            Some(Pause::Budget)
        } else {
            None
        }
    }

    pub(super) fn finish(
        &mut self,
        rest: &[u8],
        responder: &mut impl Responder,
        now: Moment,
    ) -> Pause {
        if self.phase == Phase::Open {
            let decoded = self.codec.finish(rest);
            if let Decided::Retry = self.decide(decoded, responder, now) {
                return Pause::Retry;
            }
            if self.is_parked() || self.needs_snapshot() {
                return Pause::Parked;
            }
        }
        self.close_drained(CloseReason::Peer);
        Pause::Ended
    }

    #[inline]
    fn decide(
        &mut self,
        decoded: Decoded<'_>,
        responder: &mut impl Responder,
        now: Moment,
    ) -> Decided {
        let (outcome, work) = match decoded {
            Decoded::Incomplete => return Decided::Incomplete,
            Decoded::Continue => {
                self.mark_pending(self.has_pending(), now);
                self.codec.encode_interim(&mut self.output);
                return Decided::Taken(0);
            }
            Decoded::Denied(credential, refusal) => {
                let shown = credential.show(responder, &mut self.peer);
                let refuse = |()| Outcome::Done(responder.refuse(refusal, &self.peer));
                (shown.map_or_else(|refused| refused, refuse), REFUSAL_WORK)
            }
            Decoded::Refused(refusal) => {
                let reply = responder.refuse(refusal, &self.peer);
                (Outcome::Done(reply), REFUSAL_WORK)
            }
            Decoded::Command(command) => {
                self.peer.collects = self.codec.collects();
                self.peer.waits = self.codec.waits();
                let outcome = command.run(responder, &mut self.peer);
                (outcome, command.request.verb().work())
            }
        };
        match &outcome {
            Outcome::Done(reply) => self.answer(reply, now),
            Outcome::Retry => return Decided::Retry,
            &Outcome::Blocked { until } => {
                self.awaited = Some(Awaited::Wake { until });
                return Decided::Blocked;
            }
            &Outcome::Parked { until } => self.awaited = Some(Awaited::Reply { until }),
            Outcome::Parts if self.peer.watches => {
                self.feed = Some(Box::default());
                self.open_stream(now);
            }
            Outcome::Parts => self.awaited = Some(Awaited::Part),
        }
        if !self.is_stranger() {
            self.completed_at = now;
        }
        Decided::Taken(work)
    }

    /// The refusal of the request that has not been complete in time.
    #[must_use]
    pub fn overdue(&self) -> Refusal {
        self.codec.overdue()
    }

    /// Answers the incomplete request, whose rest is not waited for, with a refusal that ends the session.
    pub fn refuse_incomplete(&mut self, refusal: &Reply, now: Moment) {
        self.rest = Box::default();
        self.answer(refusal, now);
    }

    pub(super) fn answer(&mut self, reply: &Reply, now: Moment) {
        self.append(reply, 1, now);
        if let Some(reason) = self.codec.ends_with(reply) {
            self.close(reason);
        } else if self.codec.is_lease() {
            self.feed
                .get_or_insert_with(|| Box::new(Feed::of_keepalives()));
        }
    }

    /// Appends a reply so many times.
    #[inline]
    fn append(&mut self, reply: &Reply, times: usize, now: Moment) {
        self.mark_pending(self.has_pending(), now);
        for _ in 0..times {
            self.codec.encode(reply, &mut self.output);
        }
        self.answer_since.get_or_insert(now);
    }

    /// Writes what comes before the lines of a stream, where the format has such.
    fn open_stream(&mut self, now: Moment) {
        self.mark_pending(self.has_pending(), now);
        self.codec.open_stream(&self.peer, &mut self.output);
    }

    fn note_incomplete(&mut self, used: usize, len: usize, now: Moment) {
        if self.codec.is_amid_request() {
            self.request_since.get_or_insert(now);
        } else if used == len {
            self.request_since = None;
        } else if used > 0 || self.request_since.is_none() {
            self.request_since = Some(now);
        }
    }
}

/// The result of one decoded command.
enum Decided {
    /// It was answered or parked.
    Taken(usize),
    Retry,
    Blocked,
    Incomplete,
}
