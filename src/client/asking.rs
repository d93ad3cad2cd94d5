//! How a client asks: which connection it uses, and which servers.

use std::time::Instant;

use super::answers::is_none;
use super::connection::{ANSWER_LEN_MAX, Connection, DOCUMENT_LEN_MAX};
use super::servers::{ASIDE_INTERVAL, ASIDE_MAX};
use super::{Client, Error, after};

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

    /// Sends a command. An answer that nothing was found is not believed before the other servers
    /// were asked.
    pub(super) fn ask(&mut self, command: &str, answer_len_max: usize) -> Result<String, Error> {
        let answer = self.ask_one(command, answer_len_max)?;
        if !is_none(&answer) {
            return Ok(answer);
        }
        let other = self.ask_others(command, answer_len_max);
        Ok(other.unwrap_or(answer))
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

    /// Sends a command, once more if a connection that was already open turns out to be broken.
    pub(super) fn ask_one(
        &mut self,
        command: &str,
        answer_len_max: usize,
    ) -> Result<String, Error> {
        let deadline = self.options.deadline();
        let reused = self.connection.is_some();
        let mut once = || {
            let connection = self.connect(deadline)?.allow(answer_len_max);
            let result = connection.ask(command, deadline);
            self.settle(result)
        };
        match once() {
            Err(Error::Broken { .. }) if reused => once(),
            result => result,
        }
    }

    pub(super) fn connect(&mut self, deadline: Instant) -> Result<&mut Connection, Error> {
        // A restart of the service has closed the connection.
        let mut open = self.connection.take().filter(Connection::is_open);
        if let Some(connection) = &open
            && self.home_at <= Instant::now()
        {
            self.home_at = after(ASIDE_INTERVAL);
            open = self.home(connection.server()).or(open);
        }
        let connection = match open {
            Some(connection) => connection,
            None => {
                self.home_at = after(ASIDE_INTERVAL);
                Connection::open(&self.options, deadline)?
            }
        };
        Ok(self.connection.insert(connection))
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
