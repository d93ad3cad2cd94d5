//! The part of Consul's HTTP API that reads, so that what finds services in Consul finds them here.
//!
//! All registrations are on one node, and each has one check, which passes: what does not pass is not
//! registered.

mod duration;
mod shapes;

use std::borrow::Cow;

use super::params::{decode_path, parameters};
use super::route::Consul;
use crate::limits::{WAIT_MS_DEFAULT, WAIT_MS_MAX};
use crate::message::{After, HttpRefusal, Labels, Refusal, Request, ServiceType};

pub(super) use shapes::{brackets, constant, form, push_name, push_services};

/// What a request of Consul's API asks for.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) request: Request<'a>,
    /// Whether a filter leaves nothing of the answer, whatever that is.
    pub(super) shows_none: bool,
}

/// Reads a request for `route`, in whose path `name` stands.
///
/// # Errors
/// A [`Refusal`] that says which parameter is wrong.
pub(super) fn request<'a>(
    route: Consul,
    name: &'a str,
    query: &'a str,
) -> Result<Asked<'a>, Refusal> {
    if route == Consul::Nothing {
        return Err(Refusal::Http(HttpRefusal::NoRoute));
    }
    let filters = Filters::parse(query)?;
    let after = filters.after();
    let labels = filters.labels;
    let all = |labels| Request::Catalog {
        service_type: None,
        labels,
        after,
    };
    let mut shows_none = filters.shows_none;
    let request = match route {
        Consul::CatalogService | Consul::HealthService | Consul::HealthChecks => {
            match ServiceType::new(decode_path(name).map_err(Refusal::Http)?) {
                Ok(service_type) => Request::Catalog {
                    service_type: Some(service_type),
                    labels,
                    after,
                },
                // What cannot be registered has no registrations.
                Err(_) => {
                    shows_none = true;
                    all(labels)
                }
            }
        }
        Consul::HealthState => {
            shows_none |= !matches!(name, "any" | "passing");
            all(labels)
        }
        Consul::AgentServices => all(labels),
        Consul::Names => Request::Names { after },
        Consul::Key | Consul::Nodes => Request::Constant { after },
        Consul::AgentSelf | Consul::Datacenters | Consul::Leader | Consul::Nothing => Request::Help,
    };
    Ok(Asked {
        request,
        shows_none,
    })
}

/// The token in the query, which clients of Consul may send there.
pub(super) fn token(query: &str) -> Option<Cow<'_, str>> {
    let mut parameters = parameters(query).filter_map(Result::ok);
    let token = parameters.find(|parameter| parameter.name == "token")?;
    Some(token.value).filter(|token| !token.is_empty())
}

/// The parameters that change an answer; clients send others, which do not.
#[derive(Debug, Default)]
struct Filters {
    labels: Option<Box<Labels>>,
    index: u64,
    wait_ms: Option<u64>,
    shows_none: bool,
}

impl Filters {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut filters = Filters::default();
        for parameter in parameters(query) {
            let parameter = parameter.map_err(Refusal::Http)?;
            filters.take(&parameter.name, &parameter.value)?;
        }
        Ok(filters)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let wrong = |wrong| Refusal::Http(HttpRefusal::Parameter(wrong));
        match name {
            "tag" if !value.is_empty() => {
                let labels = self.labels.get_or_insert_default();
                return labels.add_tag(value);
            }
            // The node has no metadata.
            "node-meta" => self.shows_none = true,
            "index" | "wait" if value.is_empty() => {}
            "filter" if !value.is_empty() => return Err(Refusal::Http(HttpRefusal::Filter)),
            "index" => {
                let index = value.parse();
                self.index = index.map_err(|_| wrong("index is not a number"))?;
            }
            "wait" => {
                let wait = duration::parse_ms(value);
                self.wait_ms = Some(wait.ok_or_else(|| wrong("wait is not a duration"))?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Who names no index has no answer yet, and does not wait.
    fn after(&self) -> Option<After> {
        let wait_ms = self.wait_ms.filter(|&ms| ms > 0);
        (self.index > 0).then(|| After {
            index: self.index,
            wait_ms: wait_ms.unwrap_or(WAIT_MS_DEFAULT).min(WAIT_MS_MAX),
        })
    }
}
