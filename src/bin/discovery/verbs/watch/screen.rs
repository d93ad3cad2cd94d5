//! The live table of `watch` on a terminal.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use discovery_service::client::{Service, Update};
use discovery_service::escape::printable;

use super::Failure;
use crate::output::{self, Size};

/// Number of the latest changes that are shown below the table.
const CHANGES_MAX: usize = 5;

/// A table that is redrawn at each change, no larger than the terminal.
#[derive(Default)]
pub(super) struct Screen {
    title: String,
    live: Vec<Service>,
    /// Those that the registry has not confirmed since it came back.
    unconfirmed: Vec<Service>,
    /// When this process first saw each live service.
    since: BTreeMap<Service, DateTime<Utc>>,
    /// The latest change first.
    changes: Vec<String>,
    /// Why the table may be out of date.
    outage: Option<String>,
    /// The size of the terminal when the table was last drawn.
    drawn: Option<Size>,
}

impl Screen {
    /// A table of the live services of `what`, which the registry at `servers` holds.
    pub(super) fn new(what: &str, servers: &str) -> Self {
        Screen {
            title: format!("{} at {servers}", printable(what)),
            ..Screen::default()
        }
    }

    /// Applies an update and redraws. The first update is no change.
    pub(super) fn show(&mut self, update: &Update, now: DateTime<Utc>) -> Result<(), Failure> {
        self.apply(update, now);
        self.draw()
    }

    /// Shows that the service is away, and why, or that it is back.
    pub(super) fn show_outage(&mut self, outage: Option<String>) -> Result<(), Failure> {
        self.outage = outage;
        self.draw()
    }

    /// Marks the services that are kept without the registry's word.
    pub(super) fn mark(&mut self, unconfirmed: Vec<Service>) -> Result<(), Failure> {
        if self.unconfirmed == unconfirmed {
            return Ok(());
        }
        self.unconfirmed = unconfirmed;
        self.draw()
    }

    /// Redraws if the size of the terminal has changed.
    pub(super) fn fit(&mut self) -> Result<(), Failure> {
        if self.drawn == Some(output::terminal_size()) {
            Ok(())
        } else {
            self.draw()
        }
    }

    fn apply(&mut self, update: &Update, now: DateTime<Utc>) {
        self.live.clone_from(&update.services);
        for service in &self.live {
            self.since.entry(service.clone()).or_insert(now);
        }
        self.since
            .retain(|service, _| self.live.binary_search(service).is_ok());
        let is_first = self.drawn.is_none();
        let came = update
            .up
            .iter()
            .filter(|_| !is_first)
            .map(|service| ("up", service));
        for (
            change,
            Service {
                service_type,
                address,
            },
        ) in came.chain(update.down.iter().map(|service| ("down", service)))
        {
            self.changes.insert(
                0,
                format!(
                    "{} {change:<4} {} {address}",
                    clock(&now),
                    printable(service_type)
                ),
            );
            self.changes.truncate(CHANGES_MAX);
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let size = output::terminal_size();
        // Scroll the terminal's content up instead of overwriting it.
        let lines = if self.drawn.is_none() && size != Size::UNKNOWN {
            size.lines
        } else {
            0
        };
        self.drawn = Some(size);
        // Overwrite the old table instead of clearing it, which would flicker.
        let text = self
            .text(size, output::in_colour())
            .replace('\n', "\x1b[K\n");
        output::bytes(format!("{}\x1b[H{text}\x1b[J", "\n".repeat(lines)).as_bytes())
    }

    /// The content of the screen. The last line of `size` is left to the cursor; if lines are
    /// short, the table has priority over the changes.
    fn text(&self, size: Size, colour: bool) -> String {
        const TITLE_TO_HEADLINE: usize = 3;
        let lines = size.lines.saturating_sub(1);
        let left = lines.saturating_sub(TITLE_TO_HEADLINE);
        let of_table = self.live.len().min(left);
        // An empty line precedes the changes.
        let changes = &self.changes[..self.changes.len().min((left - of_table).saturating_sub(1))];
        let shown = if of_table < self.live.len() {
            of_table.saturating_sub(1)
        } else {
            of_table
        };
        let row = |service: &Service| {
            let mut since = self.since.get(service).map_or(String::new(), clock);
            if self.unconfirmed.binary_search(service).is_ok() {
                since += " unconfirmed";
            }
            vec![
                printable(&service.service_type),
                service.address.to_string(),
                since,
            ]
        };
        let rows: Vec<Vec<String>> = self.live[..shown].iter().map(row).collect();
        let outage = self.outage.as_deref().unwrap_or_default();
        let mut text = format!("{}: {} live\n{outage}\n", self.title, self.live.len());
        text += &output::aligned(&["TYPE", "ADDRESS", "SEEN SINCE"], &rows, colour);
        if shown < self.live.len() {
            text += &format!("and {} more\n", self.live.len() - shown);
        }
        if !changes.is_empty() {
            text += &format!("\n{}\n", changes.join("\n"));
        }
        text.lines()
            .take(lines)
            .map(|line| output::clip(line, size.columns) + "\n")
            .collect()
    }
}

fn clock(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen that had `count` live services at first, and then one more.
    fn screen(count: u16) -> Screen {
        let service = |port| Service {
            service_type: "web".to_owned(),
            address: ([10, 0, 0, 1], port).into(),
        };
        let mut screen = Screen::new("web", "here:1");
        let at_first: Vec<Service> = (1..=count).map(service).collect();
        let new = vec![service(count + 1)];
        let all = [&at_first[..], &new[..]].concat();
        let now = DateTime::from_timestamp(0, 0).expect("the epoch");
        screen.apply(
            &Update {
                index: 1,
                up: at_first.clone(),
                down: vec![],
                services: at_first,
            },
            now,
        );
        screen.drawn = Some(Size::UNKNOWN);
        screen.apply(
            &Update {
                index: 2,
                up: new,
                down: vec![],
                services: all,
            },
            now,
        );
        screen
    }

    fn of(lines: usize, columns: usize) -> Size {
        Size { lines, columns }
    }

    #[test]
    fn live_services_stand_above_the_changes() {
        let text = "web at here:1: 2 live\n\n\
            TYPE  ADDRESS     SEEN SINCE\n\
            web   10.0.0.1:1  1970-01-01T00:00:00Z\n\
            web   10.0.0.1:2  1970-01-01T00:00:00Z\n\n\
            1970-01-01T00:00:00Z up   web 10.0.0.1:2\n";
        assert_eq!(screen(1).text(Size::UNKNOWN, false), text);
        assert_eq!(
            screen(1).text(of(8, 80), false),
            text,
            "7 lines, and one for the cursor"
        );
        let mut unsure = screen(1);
        unsure.unconfirmed = vec![unsure.live[1].clone()];
        assert_eq!(
            unsure.text(Size::UNKNOWN, false),
            text.replace(
                "1:2  1970-01-01T00:00:00Z",
                "1:2  1970-01-01T00:00:00Z unconfirmed"
            )
        );
        let mut away = screen(1);
        away.outage = Some("it is away".to_owned());
        assert_eq!(
            away.text(Size::UNKNOWN, false),
            text.replace("\n\nTYPE", "\nit is away\nTYPE")
        );
    }

    #[test]
    fn the_table_fits_the_terminal_and_says_what_it_leaves_out() {
        let lines = |count, height| screen(count).text(of(height, 80), false).lines().count();
        for height in 1..30 {
            for count in [1, 2, 10, 1_000] {
                assert!(lines(count, height) < height, "{count} in {height}");
            }
        }
        let text = screen(99).text(of(8, 80), false);
        assert!(
            text.ends_with("web   10.0.0.1:3  1970-01-01T00:00:00Z\nand 97 more\n"),
            "{text}"
        );
        assert!(
            screen(9)
                .text(of(8, 10), true)
                .lines()
                .all(|line| line.len() <= 10 + "\x1b[1m\x1b[0m".len())
        );
    }
}
