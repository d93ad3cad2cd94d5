//! How a client asks: which connection it uses, and which servers.

use std::time::Instant;

use super::answers::is_none;
use super::connection::{ANSWER_LEN_MAX, Connection, DOCUMENT_LEN_MAX};
use super::servers::{self, ASIDE_INTERVAL, ASIDE_MAX};
use super::{Client, Error, after};

/// What a server has answered, or refused so that no other is asked.
type Conclusion = Result<String, Error>;

/// The conclusion of an attempt at a server; an error if the next server is to be asked.
fn conclude(
    result: Result<String, Error>,
    goes_on: fn(&Error) -> bool,
) -> Result<Conclusion, Error> {
    match result {
        Err(error) if goes_on(&error) => Err(error),
        result => Ok(result),
    }
}

fn is_passing_refusal(error: &Error) -> bool {
    matches!(error, Error::Refused { .. }) && error.is_transient()
}

/// Whether another server may answer where one has failed so. What one refuses for good, they all do,
/// but for a token: each may know others.
fn may_be_answered_elsewhere(error: &Error) -> bool {
    let is_refusal = matches!(error, Error::Refused { .. });
    !is_refusal || is_passing_refusal(error) || error.is_about_the_token()
}

impl Client {
    /// Sends a command and parses its answer; `parse` returns `None` for an answer of another
    /// service.
    pub(super) fn read<T>(
        &mut self,
        command: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let answer = self.ask(command, ANSWER_LEN_MAX)?;
        parse(&answer).ok_or_else(|| self.unexpected(&answer))
    }

    /// As [`read`](Self::read), for an answer of rows, which may be long.
    pub(super) fn read_rows<T>(
        &mut self,
        command: &str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let answer = self.ask(command, DOCUMENT_LEN_MAX)?;
        parse(&answer).ok_or_else(|| self.unexpected(&answer))
    }

    /// Sends a command that may be sent twice. An answer that nothing was found is not believed before
    /// the other servers were asked.
    pub(super) fn ask(&mut self, command: &str, answer_len_max: usize) -> Result<String, Error> {
        let answer = self.in_turn(|client, server, deadline| {
            let answer = client.ask_at(server, command, answer_len_max, deadline);
            conclude(answer, may_be_answered_elsewhere)
        })?;
        if !is_none(&answer) {
            return Ok(answer);
        }
        let other = self.ask_others(command, answer_len_max);
        Ok(other.unwrap_or(answer))
    }

    /// Sends a command that must not be run twice.
    pub(super) fn ask_once(&mut self, command: &str) -> Result<String, Error> {
        self.in_turn(|client, server, deadline| {
            let result = client.connect_to(server, deadline)?.ask(command, deadline);
            // What was refused has not been run.
            conclude(client.settle(result), is_passing_refusal)
        })
    }

    /// The first conclusion of `attempt` at the servers: at the connected one before the others.
    fn in_turn(
        &mut self,
        mut attempt: impl FnMut(&mut Self, &str, Instant) -> Result<Conclusion, Error>,
    ) -> Result<String, Error> {
        let deadline = self.options.deadline();
        self.check_connection();
        let connected = self.connection.as_ref().map(Connection::server);
        let servers = servers::ordered(&self.options.servers, |server| connected == Some(server));
        servers::first(&servers, deadline, |server, deadline| {
            attempt(self, server, deadline)
        })?
    }

    /// Sends a command to this server, once more if a connection that was already open turns out to be
    /// broken.
    fn ask_at(
        &mut self,
        server: &str,
        command: &str,
        answer_len_max: usize,
        deadline: Instant,
    ) -> Result<String, Error> {
        let reused = self.connection.is_some();
        let mut once = || {
            let connection = self.connect_to(server, deadline)?.allow(answer_len_max);
            let result = connection.ask(command, deadline);
            self.settle(result)
        };
        match once() {
            Err(Error::Broken { .. }) if reused => once(),
            result => result,
        }
    }

    /// What another server has found.
    pub(super) fn ask_others(&self, command: &str, answer_len_max: usize) -> Option<String> {
        let server = self.connection.as_ref()?.server();
        let deadline = after(self.options.timeout.min(ASIDE_MAX));
        let ask = |server: &String| {
            let mut connection = Connection::open_at(server, &self.options, deadline).ok()?;
            let answer = connection.allow(answer_len_max).ask(command, deadline);
            answer.ok().filter(|answer| !is_none(answer))
        };
        self.options.others(server, false).iter().find_map(ask)
    }

    /// A connection to the first server that answers.
    pub(super) fn connect(&mut self, deadline: Instant) -> Result<&mut Connection, Error> {
        self.check_connection();
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.home_at = after(ASIDE_INTERVAL);
                Connection::open(&self.options, deadline)?
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// The connection to this server.
    fn connect_to(&mut self, server: &str, deadline: Instant) -> Result<&mut Connection, Error> {
        let open = self.connection.take();
        let connection = match open.filter(|connection| connection.server() == server) {
            Some(connection) => connection,
            None => {
                self.home_at = after(ASIDE_INTERVAL);
                Connection::open_at(server, &self.options, deadline)?
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Drops a connection that is not usable, and leaves a later server when an earlier one answers again.
    fn check_connection(&mut self) {
        // A restart of the service has closed the connection.
        self.connection = self.connection.take().filter(Connection::is_open);
        if let Some(connection) = &self.connection
            && self.home_at <= Instant::now()
        {
            self.home_at = after(ASIDE_INTERVAL);
            if let Some(home) = self.home(connection.server()) {
                self.connection = Some(home);
            }
        }
    }

    /// A connection to a server before this one, if one answers again.
    pub(super) fn home(&self, server: &str) -> Option<Connection> {
        let deadline = after(self.options.timeout.min(ASIDE_MAX));
        let open = |server: &String| Connection::open_at(server, &self.options, deadline).ok();
        self.options.others(server, true).iter().find_map(open)
    }

    /// Drops the connection after an error other than a refusal: later answers could not be matched
    /// to commands.
    pub(super) fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(&result, Err(error) if !matches!(error, Error::Refused { .. })) {
            self.connection = None;
        }
        result
    }

    pub(super) fn unexpected(&mut self, answer: &str) -> Error {
        let connection = self.connection.take();
        let servers = self.options.servers();
        Error::unexpected(
            connection.as_ref().map_or(&servers, Connection::server),
            answer,
        )
    }
}
