//! The live table of `watch` on a terminal.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use discovery_service::client::{Service, Update};
use discovery_service::plain::printable;

use super::{Failure, print};

/// Lines about the latest changes below the table.
const CHANGES_MAX: usize = 5;

/// A table that is drawn anew at each change, no higher than the terminal.
pub(super) struct Screen {
    title: String,
    live: Vec<Service>,
    /// When each service was first seen by this process.
    since: BTreeMap<Service, DateTime<Utc>>,
    /// The latest change first.
    changes: Vec<String>,
    /// Why this may not be the present state.
    trouble: Option<String>,
    /// The height that it was drawn for; unknown before it was drawn.
    height: Option<Option<usize>>,
}

impl Screen {
    /// Of what is live of `what` at these addresses.
    pub(super) fn new(what: &str, servers: &str) -> Self {
        let (live, since, changes) = Default::default();
        Screen { title: format!("{} at {servers}", printable(what)), live, since, changes, trouble: None, height: None }
    }

    /// Draws a change; what is live at the start is none.
    pub(super) fn show(&mut self, update: &Update, now: DateTime<Utc>) -> Result<(), Failure> {
        self.apply(update, now);
        self.draw()
    }

    /// Says that the service is away, or no longer.
    pub(super) fn show_trouble(&mut self, trouble: Option<String>) -> Result<(), Failure> {
        self.trouble = trouble;
        self.draw()
    }

    /// Draws it again when the terminal has got another height.
    pub(super) fn fit(&mut self) -> Result<(), Failure> {
        if self.height == Some(print::terminal_height()) { Ok(()) } else { self.draw() }
    }

    fn apply(&mut self, update: &Update, now: DateTime<Utc>) {
        self.live.clone_from(&update.services);
        for service in &self.live {
            self.since.entry(service.clone()).or_insert(now);
        }
        self.since.retain(|service, _| self.live.binary_search(service).is_ok());
        let is_first = self.height.is_none();
        let came = update.up.iter().filter(|_| !is_first).map(|service| ("up", service));
        for (word, Service { service_type, address }) in came.chain(update.down.iter().map(|service| ("down", service)))
        {
            self.changes.insert(0, format!("{} {word:<4} {} {address}", clock(&now), printable(service_type)));
            self.changes.truncate(CHANGES_MAX);
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let height = print::terminal_height();
        // What is on the terminal is pushed up, where it can be scrolled back to.
        let room = if self.height.is_none() { "\n".repeat(height.unwrap_or(0)) } else { String::new() };
        self.height = Some(height);
        // Written over what was there, so that nothing flickers as it would after a clearing, and without
        // the wrapping of long lines, so that a line is a line (DECAWM).
        let text = self.text(height, print::in_colour()).replace('\n', "\x1b[K\n");
        print::bytes(format!("{room}\x1b[?7l\x1b[H{text}\x1b[J\x1b[?7h").as_bytes())
    }

    /// What stands on the screen: the cursor keeps the last line of `height`, and the table goes before
    /// the changes.
    fn text(&self, height: Option<usize>, colour: bool) -> String {
        const TITLE_TO_HEADLINE: usize = 3;
        let left = height.map_or(usize::MAX, |height| height.saturating_sub(1 + TITLE_TO_HEADLINE));
        let of_table = self.live.len().min(left);
        // An empty line goes before the changes.
        let changes = &self.changes[..self.changes.len().min((left - of_table).saturating_sub(1))];
        let shown = if of_table < self.live.len() { of_table.saturating_sub(1) } else { of_table };
        let row = |service: &Service| {
            let since = self.since.get(service).map_or(String::new(), clock);
            vec![printable(&service.service_type), service.address.to_string(), since]
        };
        let rows: Vec<Vec<String>> = self.live[..shown].iter().map(row).collect();
        let trouble = self.trouble.as_deref().unwrap_or_default();
        let mut text = format!("{}: {} live\n{trouble}\n", self.title, self.live.len());
        text += &print::format_table(&["TYPE", "ADDRESS", "SEEN SINCE"], &rows, true, colour);
        if shown < self.live.len() {
            text += &format!("and {} more\n", self.live.len() - shown);
        }
        if !changes.is_empty() {
            text += &format!("\n{}\n", changes.join("\n"));
        }
        text
    }
}

fn clock(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen after `count` services were live at first and one more came.
    fn screen(count: u16) -> Screen {
        let service = |port| Service { service_type: "web".to_owned(), address: ([10, 0, 0, 1], port).into() };
        let mut screen = Screen::new("web", "here:1");
        let at_first: Vec<Service> = (1..=count).map(service).collect();
        let new = vec![service(count + 1)];
        let all = [&at_first[..], &new[..]].concat();
        let now = DateTime::from_timestamp(0, 0).expect("the epoch");
        screen.apply(&Update { index: 1, up: at_first.clone(), down: vec![], services: at_first }, now);
        screen.height = Some(None);
        screen.apply(&Update { index: 2, up: new, down: vec![], services: all }, now);
        screen
    }

    #[test]
    fn what_is_live_stands_above_what_has_changed() {
        let text = "web at here:1: 2 live\n\n\
            TYPE  ADDRESS     SEEN SINCE\n\
            web   10.0.0.1:1  1970-01-01T00:00:00Z\n\
            web   10.0.0.1:2  1970-01-01T00:00:00Z\n\n\
            1970-01-01T00:00:00Z up   web 10.0.0.1:2\n";
        assert_eq!(screen(1).text(None, false), text);
        assert_eq!(screen(1).text(Some(8), false), text, "it fits: 7 lines and the cursor's");
        let mut away = screen(1);
        away.trouble = Some("it is away".to_owned());
        assert_eq!(away.text(None, false), text.replace("\n\nTYPE", "\nit is away\nTYPE"));
    }

    #[test]
    fn it_is_no_higher_than_the_terminal_and_says_what_it_leaves_out() {
        let lines = |count, height| screen(count).text(Some(height), false).lines().count();
        for height in 5..30 {
            for count in [1, 2, 10, 1_000] {
                assert!(lines(count, height) < height, "{count} in {height}");
            }
        }
        let text = screen(99).text(Some(8), false);
        assert!(text.ends_with("web   10.0.0.1:3  1970-01-01T00:00:00Z\nand 97 more\n"), "{text}");
    }
}
