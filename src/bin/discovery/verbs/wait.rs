//! `wait`: returns when enough services of a type are live.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;

use discovery_service::client::{TIMEOUT, Watcher};
use discovery_service::message::ServiceType;

use super::Failure;
use super::lookup::print_addresses;
use super::options::ServerOptions;
use super::outage::{BACK, INTERVAL, Outage};
use crate::{output, values};

/// Wait until services of a type are live, and print their addresses; exit status 1 when it gives
/// up
#[derive(Args)]
#[command(after_help = "Example:\n  discovery wait database --timeout 60 && ./migrate")]
pub(crate) struct Wait {
    /// What kind of service it is
    #[arg(id = "type", value_name = "type", value_parser = values::Parser(values::service_type))]
    service_type: ServiceType<'static>,

    /// How many addresses must be live
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::Parser(values::count))]
    count: usize,

    /// Give up after so long; without it, wait for ever
    #[arg(long, value_name = "SECONDS", value_parser = values::Parser(values::seconds))]
    timeout: Option<Duration>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: ServerOptions,
}

impl Wait {
    pub(super) fn run(self) -> Result<(), Failure> {
        // An answer may take no longer than for other verbs, for it can be asked for again.
        let answer_time = self.timeout.map_or(TIMEOUT, |timeout| timeout.min(TIMEOUT));
        let options = self.server.with_timeout(answer_time)?;
        let mut watcher = Watcher::new(&options, Some(self.service_type.as_str()));
        if let Some(timeout) = self.timeout {
            watcher = watcher.until(Instant::now() + timeout);
        }
        let mut outage = Outage::default();
        loop {
            let next = watcher.latest_within(INTERVAL);
            let live = addresses(&watcher);
            if live.len() >= self.count && watcher.is_connected() {
                return print_addresses(&live, self.json);
            }
            match next {
                Some(Err(error)) if watcher.is_over() => return Err(error.into()),
                Some(Err(error)) => {
                    if let Some(message) = outage.failed(&error) {
                        output::message(&message);
                    }
                }
                None if watcher.is_over() => {
                    let live = watcher.is_connected().then_some(live.len());
                    return Err(self.in_vain(live, &options.servers()));
                }
                Some(Ok(_)) | None => {}
            }
            if watcher.is_connected() && outage.ends() {
                output::message(BACK);
            }
        }
    }

    /// Why the time was not enough; `live` is unknown while the service is away.
    fn in_vain(&self, live: Option<usize>, servers: &str) -> Failure {
        let reason = match live {
            Some(live) => format!("{live} of {} are live", self.count),
            None => "the registry was away".to_owned(),
        };
        let name = self.service_type.as_str();
        Failure::Message(format!("waited in vain for {name} at {servers}: {reason}"))
    }
}

/// The addresses that are live for certain: after a restart of the registry, a service that it does
/// not know yet may be gone.
fn addresses(watcher: &Watcher) -> Vec<SocketAddr> {
    let confirmed = watcher.confirmed();
    let addresses: BTreeSet<SocketAddr> = confirmed.iter().map(|service| service.address).collect();
    addresses.into_iter().collect()
}
