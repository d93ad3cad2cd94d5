//! Requests that do not borrow from the input any more.

use std::borrow::Cow;

use super::{Command, Credential, Offer, Request, ServiceType};

impl Command<'_> {
    /// The same command, with everything that it borrows copied.
    #[must_use]
    pub fn into_owned(self) -> Command<'static> {
        Command {
            credential: self.credential.into_owned(),
            request: self.request.into_owned(),
        }
    }
}

impl Credential<'_> {
    /// The same credential, with its token copied.
    #[must_use]
    pub fn into_owned(self) -> Credential<'static> {
        match self {
            Credential::OfSession => Credential::OfSession,
            Credential::OfMessage(token) => {
                Credential::OfMessage(token.map(|token| Cow::Owned(token.into_owned())))
            }
        }
    }
}

impl ServiceType<'_> {
    fn into_owned(self) -> ServiceType<'static> {
        ServiceType(Cow::Owned(self.0.into_owned()))
    }
}

impl Offer<'_> {
    fn into_owned(self) -> Offer<'static> {
        let Offer {
            service_type,
            ip,
            port,
        } = self;
        Offer {
            service_type: service_type.into_owned(),
            ip,
            port,
        }
    }
}

impl Request<'_> {
    /// The same request, with everything that it borrows copied.
    #[must_use]
    pub fn into_owned(self) -> Request<'static> {
        match self {
            Request::Auth { token } => Request::Auth {
                token: Cow::Owned(token.into_owned()),
            },
            Request::Register {
                offer,
                ttl,
                replace,
                labels,
            } => Request::Register {
                offer: offer.into_owned(),
                ttl,
                replace,
                labels,
            },
            Request::Hold {
                offer,
                ttl,
                replace,
                labels,
            } => Request::Hold {
                offer: offer.into_owned(),
                ttl,
                replace,
                labels,
            },
            Request::Heartbeat { uuid } => Request::Heartbeat { uuid },
            Request::Revive {
                uuid,
                offer,
                ttl,
                labels,
            } => Request::Revive {
                uuid,
                offer: offer.into_owned(),
                ttl,
                labels,
            },
            Request::Update { uuid, labels } => Request::Update { uuid, labels },
            Request::Deregister { uuid } => Request::Deregister { uuid },
            Request::Query {
                service_type,
                max_age,
                labels,
                limit,
            } => Request::Query {
                service_type: service_type.into_owned(),
                max_age,
                labels,
                limit,
            },
            Request::Resolve { service_type } => Request::Resolve {
                service_type: service_type.map(ServiceType::into_owned),
            },
            Request::Types => Request::Types,
            Request::List {
                service_type,
                labels,
            } => Request::List {
                service_type: service_type.map(ServiceType::into_owned),
                labels,
            },
            Request::Catalog {
                service_type,
                labels,
                after,
            } => Request::Catalog {
                service_type: service_type.map(ServiceType::into_owned),
                labels,
                after,
            },
            Request::Names { after } => Request::Names { after },
            Request::Constant { after } => Request::Constant { after },
            Request::Why { uuid } => Request::Why { uuid },
            Request::Watch { service_type } => Request::Watch {
                service_type: service_type.map(ServiceType::into_owned),
            },
            Request::Stats => Request::Stats,
            Request::Metrics { types } => Request::Metrics { types },
            Request::Ping => Request::Ping,
            Request::Health => Request::Health,
            Request::Help => Request::Help,
            Request::Quit => Request::Quit,
        }
    }
}
