//! Links, the connections that the service opens itself.

use std::io;

use super::transport::{Read, Transport};
use super::{Network, Readiness};
use crate::limits::{LINKS_MAX, TURN_LINK_COMMANDS_MAX, TURN_READ_LEN_MAX, TURN_WRITE_LEN_MAX};
use crate::message::{LinkCommand, LinkEnd, LinkEvent};
use crate::service::Handler;
use crate::session::Scratch;
use crate::time::Moment;
use crate::wire::output::Output;

/// All links.
pub(super) struct Links<T> {
    by_number: [Option<Link<T>>; LINKS_MAX],
    /// The number of links, so that a service without links does no work for them.
    len: usize,
}

struct Link<T> {
    transport: Transport<T>,
    state: State,
    output: Output,
    /// There is work without an event.
    again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is connecting, until this moment at most.
    Connecting {
        until: Moment,
    },
    Open,
}

/// The result of a visit to a link.
enum Visit {
    /// No work until an event.
    Blocked,
    /// More work is possible without an event.
    Again,
    Over(LinkEnd),
}

impl<T> Default for Links<T> {
    fn default() -> Self {
        Links {
            by_number: [const { None }; LINKS_MAX],
            len: 0,
        }
    }
}

impl<T> Links<T> {
    /// Handles an event of a link's socket.
    pub(super) fn on_event(&mut self, number: usize, readiness: Readiness) {
        if let Some(Some(link)) = self.by_number.get_mut(number) {
            link.transport.on_event(readiness);
            link.again = true;
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Link<T>> {
        let by_number = if self.len == 0 {
            &[][..]
        } else {
            &self.by_number[..]
        };
        by_number.iter().flatten()
    }

    /// Whether any link has work without an event.
    pub(super) fn has_backlog(&self) -> bool {
        self.iter().any(|link| link.again)
    }

    /// The earliest time limit of the links that are connecting.
    pub(super) fn next_due(&self) -> Option<Moment> {
        let due = |link: &Link<T>| match link.state {
            State::Connecting { until } => Some(until),
            State::Open => None,
        };
        self.iter().filter_map(due).min()
    }

    /// Serves the links that have work, and ends those whose time limit has passed.
    pub(super) fn serve<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        handler: &mut impl Handler,
        scratch: &mut Scratch,
        now: Moment,
    ) {
        if self.len == 0 {
            return;
        }
        for number in 0..LINKS_MAX {
            let Some(link) = &mut self.by_number[number] else {
                continue;
            };
            let late = matches!(link.state, State::Connecting { until } if until <= now);
            if !link.again && !late {
                continue;
            }
            match link.visit(number, network, handler, scratch, now) {
                Visit::Blocked => link.again = false,
                Visit::Again => link.again = true,
                Visit::Over(end) => {
                    self.close(network, number);
                    handler.link_event(number, LinkEvent::Closed(end));
                }
            }
        }
    }

    /// Runs the service's commands to its links.
    pub(super) fn run_commands<N: Network<Stream = T>>(
        &mut self,
        network: &mut N,
        handler: &mut impl Handler,
        now: Moment,
    ) {
        for _ in 0..TURN_LINK_COMMANDS_MAX {
            let Some(command) = handler.next_link_command() else {
                break;
            };
            match command {
                LinkCommand::Open {
                    link,
                    address,
                    within_ms,
                } => {
                    self.close(network, link);
                    match network.connect(address, link) {
                        Ok(stream) => {
                            let new = Link::new(stream, now.plus_millis(within_ms));
                            self.by_number[link] = Some(new);
                            self.len += 1;
                        }
                        Err(error) => {
                            handler.link_event(link, LinkEvent::Closed(LinkEnd::Failed(error)));
                        }
                    }
                }
                LinkCommand::Send { link, bytes } => {
                    if let Some(link) = &mut self.by_number[link]
                        && link.state == State::Open
                    {
                        link.output.push_owned(bytes);
                        link.again = true;
                    }
                }
                LinkCommand::Close { link } => self.close(network, link),
            }
        }
    }

    fn close<N: Network<Stream = T>>(&mut self, network: &mut N, number: usize) {
        if let Some(link) = self.by_number[number].take() {
            self.len -= 1;
            network.close(link.transport.into_stream());
        }
    }
}

impl<T> Link<T> {
    fn new(stream: T, until: Moment) -> Self {
        Link {
            transport: Transport::connecting(stream),
            state: State::Connecting { until },
            output: Output::default(),
            again: false,
        }
    }

    fn visit<N: Network<Stream = T>>(
        &mut self,
        number: usize,
        network: &mut N,
        handler: &mut impl Handler,
        scratch: &mut Scratch,
        now: Moment,
    ) -> Visit {
        if let State::Connecting { until } = self.state {
            // The time limit decides, whatever the order of events.
            if until <= now {
                return Visit::Over(LinkEnd::TimedOut);
            }
            if self.transport.is_writable() {
                match network.connected(self.transport.stream()) {
                    Ok(true) => {
                        self.state = State::Open;
                        handler.link_event(number, LinkEvent::Opened);
                    }
                    // The event was spurious.
                    Ok(false) => self.transport.expect_writable(),
                    Err(error) => return Visit::Over(LinkEnd::Failed(error)),
                }
            }
            if self.state != State::Open {
                return Visit::Blocked;
            }
        }
        match self.write(number, network, handler) {
            Err(error) => Visit::Over(LinkEnd::Failed(error)),
            Ok(has_more_to_write) => match self.read(number, network, handler, scratch) {
                Visit::Blocked if has_more_to_write => Visit::Again,
                visit => visit,
            },
        }
    }

    /// Writes pending bytes, within the budget of a turn. Returns whether more could be written.
    fn write<N: Network<Stream = T>>(
        &mut self,
        number: usize,
        network: &mut N,
        handler: &mut impl Handler,
    ) -> io::Result<bool> {
        if self.output.is_empty() || !self.transport.is_writable() {
            return Ok(false);
        }
        let transport = &mut self.transport;
        let write = |bytes: &[u8]| transport.write(network, bytes);
        let result = self.output.write_to(TURN_WRITE_LEN_MAX, write);
        match result {
            Ok(_) if self.output.is_empty() => {
                handler.link_event(number, LinkEvent::Sent);
                Ok(false)
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the bytes that have arrived, within the budget of a turn.
    fn read<N: Network<Stream = T>>(
        &mut self,
        number: usize,
        network: &mut N,
        handler: &mut impl Handler,
        scratch: &mut Scratch,
    ) -> Visit {
        let mut left = TURN_READ_LEN_MAX;
        while left > 0 {
            let buffer = scratch.sink();
            match self.transport.read(network, buffer) {
                Read::Bytes(n) => {
                    left = left.saturating_sub(n);
                    handler.link_event(number, LinkEvent::Received(&buffer[..n]));
                }
                Read::Nothing => return Visit::Blocked,
                Read::End => return Visit::Over(LinkEnd::Ended),
                Read::Failed(error) => return Visit::Over(LinkEnd::Failed(error)),
            }
        }
        Visit::Again
    }
}
