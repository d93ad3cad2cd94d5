//! `wait`: returns when enough services of a type are live.

use std::time::{Duration, Instant};

use discovery_service::client::{Options, Watcher};

use super::Failure;
use super::lookup::print_addresses;
use super::outage::{BACK, INTERVAL, Trouble};
use crate::output;

/// Returns when so many are live.
pub(super) fn wait(
    options: &Options,
    service_type: &str,
    count: usize,
    timeout: Option<Duration>,
    json: bool,
) -> Result<(), Failure> {
    let mut watcher = Watcher::new(options, Some(service_type));
    if let Some(timeout) = timeout {
        watcher = watcher.until(Instant::now() + timeout);
    }
    let mut live = None;
    let mut trouble = Trouble::default();
    loop {
        match watcher.latest_within(INTERVAL) {
            Some(Ok(update)) if update.services.len() >= count => {
                let addresses: Vec<_> = update
                    .services
                    .iter()
                    .map(|service| service.address)
                    .collect();
                return print_addresses(&addresses, json);
            }
            Some(Ok(update)) => live = Some(update.services.len()),
            Some(Err(error))
                if watcher.is_over()
                    || !error.is_transient()
                    || (live.is_none() && timeout.is_none()) =>
            {
                return Err(error.into());
            }
            Some(Err(error)) => {
                if let Some(message) = trouble.begins(&error) {
                    output::complain(&message);
                }
            }
            None if watcher.is_over() => {
                let live = match live {
                    Some(live) if watcher.is_connected() => format!("{live} of {count} are live"),
                    _ => "the registry was away".to_owned(),
                };
                let message = format!(
                    "waited in vain for {service_type} at {}: {live}",
                    options.servers()
                );
                return Err(Failure::Message(message));
            }
            None => {}
        }
        if watcher.is_connected() && trouble.ends() {
            output::complain(BACK);
        }
    }
}
