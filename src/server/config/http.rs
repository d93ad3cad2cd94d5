//! What is special to HTTP.

use super::DATACENTER_DEFAULT;

/// What the service is over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Further names under which browsers on this host may reach it.
    pub hosts: Vec<Box<str>>,
    /// The name of the datacenter that Consul's API tells.
    pub datacenter: Box<str>,
    /// Whether `/metrics` tells the registrations of each type.
    pub metrics_types: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            hosts: Vec::new(),
            datacenter: DATACENTER_DEFAULT.into(),
            metrics_types: false,
        }
    }
}
