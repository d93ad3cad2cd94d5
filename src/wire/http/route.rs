//! What there is over HTTP: each path with its method.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Register,
    Heartbeat,
    Deregister,
    Update,
    Why,
    Hold,
    Query,
    List,
    Types,
    Stats,
    Watch,
    Ping,
    Health,
    OpenApi,
    Metrics,
    Targets,
    Page,
    Style,
    Script,
    Consul(Consul),
    /// Nothing; errors are JSON.
    Nothing,
}

/// What a client of Consul asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consul {
    AgentSelf,
    AgentServices,
    /// The names of the services.
    Names,
    CatalogService,
    HealthService,
    HealthChecks,
    HealthState,
    Nodes,
    Datacenters,
    Leader,
    /// A key, of which there are none.
    Key,
    /// Nothing; errors are text.
    Nothing,
}

const READ: &[&str] = &["GET", "HEAD"];
const CHANGE: &[&str] = &["POST"];

impl Route {
    /// What is at this path, and the part of the path that names something.
    pub(super) fn at(path: &str) -> (Route, &str) {
        let route = match path {
            "/" => Route::Page,
            "/page.css" => Route::Style,
            "/page.js" => Route::Script,
            "/health" => Route::Health,
            "/metrics" => Route::Metrics,
            "/sd" => Route::Targets,
            "/openapi.json" => Route::OpenApi,
            "/api/register" => Route::Register,
            "/api/heartbeat" => Route::Heartbeat,
            "/api/deregister" => Route::Deregister,
            "/api/update" => Route::Update,
            "/api/why" => Route::Why,
            "/api/hold" => Route::Hold,
            "/api/query" => Route::Query,
            "/api/list" => Route::List,
            "/api/types" => Route::Types,
            "/api/stats" => Route::Stats,
            "/api/watch" => Route::Watch,
            "/api/ping" => Route::Ping,
            _ => {
                return match path.strip_prefix("/v1/") {
                    Some(path) => Consul::at(path),
                    None => (Route::Nothing, ""),
                };
            }
        };
        (route, "")
    }

    /// The methods that it takes.
    pub(super) const fn methods(self) -> &'static [&'static str] {
        match self {
            Route::Register
            | Route::Heartbeat
            | Route::Deregister
            | Route::Update
            | Route::Why
            | Route::Hold => CHANGE,
            _ => READ,
        }
    }

    /// Whether it takes this method.
    pub(super) fn takes(self, method: &str) -> bool {
        self.methods().contains(&method)
    }

    /// Whether it is open to all, whatever they show.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Route::Health | Route::Ping)
    }

    /// Whether it is for clients of Consul, which expect errors as text.
    pub(super) const fn is_consul(self) -> bool {
        matches!(self, Route::Consul(_))
    }
}

impl Consul {
    fn at(path: &str) -> (Route, &str) {
        let named = |prefix| path.strip_prefix(prefix).filter(|name| !name.is_empty());
        let (route, name) = if let Some(name) = named("health/service/") {
            (Consul::HealthService, name)
        } else if let Some(name) = named("catalog/service/") {
            (Consul::CatalogService, name)
        } else if let Some(name) = named("health/checks/") {
            (Consul::HealthChecks, name)
        } else if let Some(state) = named("health/state/") {
            match state {
                "any" | "passing" | "warning" | "critical" => (Consul::HealthState, state),
                _ => (Consul::Nothing, ""),
            }
        } else if path.starts_with("kv/") {
            (Consul::Key, "")
        } else {
            let route = match path {
                "agent/self" => Consul::AgentSelf,
                "agent/services" => Consul::AgentServices,
                "catalog/services" => Consul::Names,
                "catalog/nodes" => Consul::Nodes,
                "catalog/datacenters" => Consul::Datacenters,
                "status/leader" => Consul::Leader,
                _ => Consul::Nothing,
            };
            (route, "")
        };
        (Route::Consul(route), name)
    }
}
