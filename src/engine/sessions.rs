//! All sessions with their sockets: the ready list, the sessions to reap, and the timers.

mod deliver;
mod invariants;

use std::ops::Range;

use slab::Slab;

use super::ready::{Ready, Reason};
use super::saving::Batch;
use super::silence::Silence;
use super::transport::Transport;
use super::waiting::Waiting;
use super::{Network, Readiness};
use crate::limits::{OUTPUT_STALL_MS_MAX, PART_LEN_MAX, ROOM_MADE_LEN, TURN_TIMERS_MAX};
use crate::message::{CloseReason, Peer};
use crate::session::{Bounds, Phase, Session, Timeout};
use crate::time::Moment;
use crate::time::wheel::{Wheel, WheelLink, WheelLinks};

/// A session with its socket.
pub(super) struct Connection<T> {
    pub(super) transport: Transport<T>,
    pub(super) session: Session,
    /// Whether it is in the ready list.
    queued: bool,
    /// Whether it had more to do, when it was last served, than a client that asks now and then, or is to
    /// be sent more.
    pub(super) is_heavy: bool,
    /// Whether it was refused because there were too many connections.
    pub(super) refused: bool,
    /// Whether it counts as one that has shown no token.
    stranger: bool,
    /// The service is stopping: the session ends when the requests that have arrived are answered.
    pub(super) stopping: bool,
    /// The service has been asked for its next part.
    waits_for_part: bool,
    /// The batch of changes for which its answers wait, if they do.
    pub(super) gate: Option<Batch>,
    /// Whether its peer's host is still there, for one that holds or watches.
    pub(super) silence: Silence,
    /// When its timer fires.
    alarm: Option<Moment>,
    timer: WheelLink,
}

/// All sessions, by key.
pub(super) struct Sessions<T> {
    connections: Slab<Connection<T>>,
    /// Sessions with work to do.
    ready: Ready,
    /// Keys of sessions to reap. Their slots are freed at the end of the turn, so that no event of
    /// this turn reaches a new session under an old key.
    over: Vec<usize>,
    timers: Wheel,
    /// The memory of all sessions together for pending output and input.
    waiting: Waiting,
    /// Since when there has been no room for long answers.
    tight_since: Option<Moment>,
    /// Refused sessions that linger.
    refused_lingering: usize,
    /// Sessions that must show a token and have not yet.
    strangers: usize,
    /// How long a session may take to complete a request, if there is a limit, in milliseconds.
    idle_ms_max: Option<u64>,
}

impl<T> WheelLinks for Slab<Connection<T>> {
    fn wheel_link(&mut self, key: u32) -> &mut WheelLink {
        &mut self[key as usize].timer
    }
}

/// The key of a session in the timer wheel. `--max-connections` keeps keys far below 2^32.
fn timer_key(key: usize) -> u32 {
    key as u32
}

impl<T> Sessions<T> {
    pub(super) fn new(idle_ms_max: Option<u64>) -> Self {
        Sessions {
            connections: Slab::new(),
            ready: Ready::default(),
            over: Vec::new(),
            timers: Wheel::new(),
            waiting: Waiting::default(),
            tight_since: None,
            refused_lingering: 0,
            strangers: 0,
            idle_ms_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Refused sessions that linger.
    pub(super) fn refused_lingering(&self) -> usize {
        self.refused_lingering
    }

    /// Sessions that must show a token and have not yet.
    pub(super) fn strangers(&self) -> usize {
        self.strangers
    }

    /// Bytes of pending output and input of all sessions together.
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// The key that the next session gets.
    pub(super) fn vacant_key(&self) -> usize {
        self.connections.vacant_key()
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Connection<T>> {
        self.connections.get_mut(key)
    }

    /// Adds a session, arms its timer, and puts it into the ready list.
    pub(super) fn add(&mut self, transport: Transport<T>, session: Session) {
        let refused = session.phase() != Phase::Open;
        self.refused_lingering += usize::from(refused);
        let stranger = session.is_stranger();
        self.strangers += usize::from(stranger);
        let key = self.connections.insert(Connection {
            transport,
            session,
            queued: false,
            is_heavy: false,
            refused,
            stranger,
            stopping: false,
            waits_for_part: false,
            gate: None,
            silence: Silence::default(),
            alarm: None,
            timer: WheelLink::default(),
        });
        self.waiting.add(key, &self.connections[key].session);
        // It may wait for several turns until it is served first.
        self.arm(key);
        self.enqueue(key, Reason::Woken);
    }

    /// Puts the session into the ready list, unless it is in there.
    pub(super) fn enqueue(&mut self, key: usize, reason: Reason) {
        if let Some(connection) = self.connections.get_mut(key)
            && !std::mem::replace(&mut connection.queued, true)
        {
            let reason = match reason {
                Reason::Woken if connection.is_heavy => Reason::Unfinished,
                reason => reason,
            };
            self.ready.push(key, reason);
        }
    }

    /// The sessions that may be served in one turn.
    pub(super) fn ready(&mut self) -> &mut Ready {
        &mut self.ready
    }

    /// Whether any session has work to do.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes a session to serve it, unless it is done. Its pending output is not counted until
    /// [`served`](Self::served).
    pub(super) fn take(&mut self, key: usize) -> Option<&mut Connection<T>> {
        let connection = self.connections.get_mut(key)?;
        connection.queued = false;
        if connection.session.phase() == Phase::Done {
            return None;
        }
        self.waiting.remove(key, &connection.session);
        Some(connection)
    }

    /// Counts the session's pending output again after it was served, and arms its timer or queues it
    /// for reaping.
    pub(super) fn served(&mut self, key: usize) {
        let Connection {
            session, stranger, ..
        } = &mut self.connections[key];
        // Over HTTP who has shown a token may show none the next time.
        let was_stranger = std::mem::replace(stranger, session.is_stranger());
        self.strangers = self.strangers + usize::from(*stranger) - usize::from(was_stranger);
        self.waiting.add(key, session);
        if session.phase() == Phase::Done {
            self.over.push(key);
        } else {
            self.arm(key);
        }
    }

    /// Whether the service must be asked for the session's next part; `true` once for each.
    pub(super) fn asks_for_part(&mut self, key: usize) -> bool {
        let connection = &mut self.connections[key];
        connection.session.wants_part() && !std::mem::replace(&mut connection.waits_for_part, true)
    }

    /// What a session may keep at present.
    pub(super) fn bounds(&self) -> Bounds {
        if self.has_room() {
            Bounds::USUAL
        } else {
            Bounds::TIGHT
        }
    }

    /// Bytes that long answers may still take.
    pub(super) fn room(&self) -> usize {
        self.waiting.room()
    }

    fn has_room(&self) -> bool {
        self.waiting.room() >= PART_LEN_MAX
    }

    /// Closes sessions until the memory of all together is within its bound, and where long answers have
    /// found no room for a long time, until there is room again.
    pub(super) fn close_excess(&mut self, now: Moment) {
        self.give_up_while(Waiting::is_over);
        if self.has_room() {
            self.tight_since = None;
        } else if self
            .tight_since
            .get_or_insert(now)
            .plus_millis(OUTPUT_STALL_MS_MAX)
            <= now
        {
            self.give_up_while(|waiting| waiting.room() < ROOM_MADE_LEN);
            self.tight_since = None;
        }
    }

    /// Gives up sessions in the order of the bound on memory, as long as it is short.
    fn give_up_while(&mut self, is_short: impl Fn(&Waiting) -> bool) {
        while is_short(&self.waiting)
            && let Some(key) = self.waiting.last_begun()
        {
            self.give_up(key, CloseReason::Memory);
        }
    }

    /// When room is made for long answers that wait for it.
    pub(super) fn makes_room_at(&self) -> Option<Moment> {
        let since = self.tight_since?;
        Some(since.plus_millis(OUTPUT_STALL_MS_MAX))
    }

    /// Gives up all sessions.
    pub(super) fn give_up_all(&mut self, reason: CloseReason) {
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.give_up(key, reason);
        }
    }

    /// Gives up those sessions with a key in `keys` whose peer `is_dismissed`.
    pub(super) fn dismiss(&mut self, keys: Range<usize>, is_dismissed: impl Fn(&Peer) -> bool) {
        for key in keys {
            let connection = self.connections.get(key);
            if connection.is_some_and(|open| is_dismissed(open.session.peer())) {
                self.give_up(key, CloseReason::Token);
            }
        }
    }

    /// A key that is greater than those of all sessions.
    pub(super) fn keys_end(&self) -> usize {
        self.connections.capacity()
    }

    /// Ends the session at once; one that another bound has ended in this turn stays as it is.
    fn give_up(&mut self, key: usize, reason: CloseReason) {
        let session = &mut self.connections[key].session;
        if session.phase() == Phase::Done {
            return;
        }
        self.waiting.remove(key, session);
        session.abandon(reason);
        self.over.push(key);
    }

    /// Closes the sessions whose time limits have passed. Appends those that need the service to `due`;
    /// their timers are set again after the delivery.
    pub(super) fn fire_timers<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        now: Moment,
        due: &mut Vec<(usize, Timeout)>,
    ) {
        for _ in 0..TURN_TIMERS_MAX {
            let Some(key) = self.timers.poll(&mut self.connections, now) else {
                break;
            };
            let key = key as usize;
            let connection = &mut self.connections[key];
            connection.alarm = None;
            if connection.is_dead(network, now) {
                self.give_up(key, CloseReason::Failed);
                continue;
            }
            match connection.session.timeout(self.idle_ms_max, now) {
                Some(Timeout::Close(reason)) => self.give_up(key, reason),
                Some(timeout) => due.push((key, timeout)),
                None => self.arm(key),
            }
        }
    }

    /// Makes sure that the session's timer fires when its next action is due. A timer that fires early
    /// is set again then, so a deadline that only moves later costs nothing.
    fn arm(&mut self, key: usize) {
        let connection = &self.connections[key];
        let Some(due) = connection.next_due(self.idle_ms_max) else {
            return;
        };
        if connection.alarm.is_some_and(|alarm| alarm <= due) {
            return;
        }
        self.timers.remove(&mut self.connections, timer_key(key));
        self.timers
            .insert(&mut self.connections, timer_key(key), due);
        self.connections[key].alarm = Some(due);
    }

    /// When the next timer fires.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.timers.next_due()
    }

    /// Removes one session that is done. Slots are freed only here.
    pub(super) fn reap(&mut self) -> Option<Connection<T>> {
        let key = self.over.pop()?;
        self.timers.remove(&mut self.connections, timer_key(key));
        let connection = self.connections.remove(key);
        self.refused_lingering -= usize::from(connection.refused);
        self.strangers -= usize::from(connection.stranger);
        Some(connection)
    }

    /// Handles an event of a session's socket.
    pub(super) fn on_event(&mut self, key: usize, readiness: Readiness) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.transport.on_event(readiness);
            // What it holds is gone, and others are told so before they are answered.
            connection.is_heavy &= !readiness.ended;
            self.enqueue(key, Reason::Woken);
        }
    }

    /// Makes each session answer the requests that have arrived, and end.
    pub(super) fn stop(&mut self) {
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            let connection = &mut self.connections[key];
            connection.stopping = true;
            connection.session.wake();
            connection.transport.expect_input();
            self.enqueue(key, Reason::Woken);
        }
    }
}

impl<T> Connection<T> {
    /// When its timer must fire.
    fn next_due(&self, idle_ms_max: Option<u64>) -> Option<Moment> {
        let alarm = self.session.alarm(idle_ms_max);
        let check = self.silence.next_check();
        alarm.into_iter().chain(check).min()
    }
}
