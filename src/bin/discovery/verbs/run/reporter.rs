//! What the registration of `run` says, and which address it may register. It is called from the
//! registration's thread.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use discovery_service::client::{Notice, Observer, Reason};

use super::{port, say};
use crate::values::Ip;
use crate::verbs::failure::explain;

/// How long one attempt to connect may take before each registration.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);

pub(super) const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The observer of the registration.
pub(super) struct Reporter {
    pub(super) name: String,
    /// How an address is chosen; `None` when it is not tried whether it answers.
    pub(super) choice: Option<Choice>,
    /// Why the service is not registered, if that was said.
    pub(super) lost: Option<String>,
    /// The server that holds the registration.
    pub(super) server: Option<String>,
}

/// How an address is chosen.
pub(super) struct Choice {
    pub(super) ip: Ip,
    pub(super) port: NonZeroU16,
    /// Where somebody else answers.
    pub(super) foreign: Vec<SocketAddr>,
}

impl Choice {
    /// The address that clients would be told, where it answers; or else one that does, if every
    /// client of this registry can reach it.
    fn of(&self, told: IpAddr) -> Result<IpAddr, String> {
        if self.answers(told) {
            return Ok(told);
        }
        let others = LOOPBACK.into_iter().filter(|ip| *ip != told);
        let answering: Vec<IpAddr> = others.filter(|ip| self.answers(*ip)).collect();
        let told_address = self.at(told);
        match answering.first() {
            // The registry is reached over loopback, and so are its clients.
            Some(other) if told.is_loopback() && self.ip == Ip::Observed => Ok(*other),
            Some(other) => Err(format!(
                "{told_address}, which clients would be told, does not answer, and {} does",
                self.at(*other)
            )),
            None => Err(format!(
                "{told_address}, which clients would be told, does not answer"
            )),
        }
    }

    fn at(&self, ip: IpAddr) -> SocketAddr {
        SocketAddr::new(ip, self.port.get())
    }

    fn answers(&self, ip: IpAddr) -> bool {
        let address = self.at(ip);
        !self.foreign.contains(&address) && port::answers(address, ATTEMPT_MAX)
    }
}

impl Observer for Reporter {
    fn notice(&mut self, notice: Notice) {
        let name = &self.name;
        match notice {
            Notice::Registered { server, .. } => {
                let was_lost = self.lost.take().is_some();
                let earlier = self.server.replace(server.clone());
                if was_lost {
                    say(&format!("{name} is registered with {server} again"));
                } else if earlier.is_some_and(|earlier| earlier != server) {
                    say(&format!("{name} is registered with {server} now"));
                }
            }
            Notice::Lost(error) => {
                let reason = explain(&error);
                // While the registry is away, the reason may change without being news.
                let is_news = match &self.lost {
                    None => true,
                    Some(earlier) => !error.is_transient() && *earlier != reason,
                };
                if is_news {
                    say(&format!(
                        "{name} is not registered, and runs on: {reason}; trying again"
                    ));
                    self.lost = Some(reason);
                }
            }
            Notice::Removed(Some(Reason::Replaced)) => {
                say(&format!(
                    "somebody else has taken the place of {name} in the registry; it is registered \
                     again as soon as nobody else is at its address"
                ));
                self.lost = Some(String::new());
            }
            Notice::Removed(_) => {
                say(&format!(
                    "somebody has removed {name} from the registry; registering it again"
                ));
                self.lost = Some(String::new());
            }
        }
    }

    fn choose(&mut self, told: IpAddr) -> Result<IpAddr, String> {
        self.choice
            .as_ref()
            .map_or(Ok(told), |choice| choice.of(told))
    }
}
