//! What the service is called over HTTP, and what it shows there.

use std::net::IpAddr;

use super::host::host_of;

/// What all connections of a listener know of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The names that a request must give as its host, in lower case; `None` where any will do.
    hosts: Option<Vec<Box<str>>>,
    /// The name of the datacenter that Consul's API tells.
    pub(super) datacenter: Box<str>,
    /// Whether the metrics tell the registrations of each type.
    pub(super) metrics_types: bool,
}

/// The names by which a host calls itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The datacenter where none is named.
pub const DATACENTER_DEFAULT: &str = "dc1";

impl Default for Site {
    fn default() -> Self {
        Site::new(DATACENTER_DEFAULT, false)
    }
}

impl Site {
    /// Answers requests for any host.
    #[must_use]
    pub fn new(datacenter: &str, metrics_types: bool) -> Self {
        Site {
            hosts: None,
            datacenter: datacenter.into(),
            metrics_types,
        }
    }

    /// Answers only requests for one of these names, for the address `listening`, and for those of the
    /// loopback interface. So a web page that has its own name resolve to this host reads nothing.
    #[must_use]
    pub fn only_for(mut self, listening: IpAddr, names: &[Box<str>]) -> Self {
        let own = match listening {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        let own = LOOPBACK.into_iter().map(str::to_owned).chain([own]);
        self.hosts = Some(own.chain(names).map(String::into_boxed_str).collect());
        self
    }

    /// Whether it has the host of this authority, whatever the port.
    pub(super) fn has_host(&self, authority: &str) -> bool {
        let Some(hosts) = &self.hosts else {
            return true;
        };
        let host = host_of(authority);
        hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}
