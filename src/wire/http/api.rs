//! The service's own API: the verbs, with parameters in the query or a JSON object as the body.

use std::borrow::Cow;

use super::params::parameters;
use super::route::Route;
use super::site::Site;
use crate::message::{HttpRefusal, Refusal, Request, ServiceType};
use crate::wire::content;
use crate::wire::object::Object;
use crate::wire::options::{LIMIT, MAX_AGE, META, Options, TAG};

/// What the service is asked by a request for this route, which is not one of Consul's.
///
/// # Errors
/// A [`Refusal`] that names the parameter or the key that is wrong.
pub(super) fn request<'a>(
    route: Route,
    query: &'a str,
    body: &'a [u8],
    site: &Site,
) -> Result<Request<'a>, Refusal> {
    match route {
        Route::Register => content::register(with_ip(object(query, body)?)),
        Route::Hold => content::hold(with_ip(object(query, body)?)),
        Route::Heartbeat => {
            let object = object(query, body)?;
            content::heartbeat(if object.has("port") {
                with_ip(object)
            } else {
                object
            })
        }
        Route::Deregister => content::deregister(object(query, body)?),
        Route::Update => content::update(object(query, body)?),
        Route::Why => content::why(object(query, body)?),
        Route::Query => {
            let (service_type, options) = parse(query, &[MAX_AGE, TAG, META, LIMIT])?;
            let missing = HttpRefusal::Parameter("the parameter type is missing");
            Ok(Request::Query {
                service_type: service_type.ok_or(Refusal::Http(missing))?,
                max_age: options.max_age,
                labels: options.labels,
                limit: options.limit,
            })
        }
        Route::List => {
            let (service_type, options) = parse(query, &[TAG, META])?;
            Ok(Request::List {
                service_type,
                labels: options.labels,
            })
        }
        Route::Targets => {
            let (service_type, options) = parse(query, &[TAG, META])?;
            Ok(Request::Catalog {
                service_type,
                labels: options.labels,
                after: None,
            })
        }
        Route::Watch => {
            let (service_type, _) = parse(query, &[])?;
            Ok(Request::Watch { service_type })
        }
        Route::Types => without_parameters(query, Request::Types),
        Route::Stats => without_parameters(query, Request::Stats),
        Route::Ping => without_parameters(query, Request::Ping),
        Route::Health => without_parameters(query, Request::Health),
        Route::OpenApi => without_parameters(query, Request::Help),
        Route::Metrics => {
            let types = site.metrics_types;
            without_parameters(query, Request::Metrics { types })
        }
        Route::Page | Route::Style | Route::Script => Ok(Request::Help),
        Route::Consul(_) | Route::Nothing => Err(Refusal::Http(HttpRefusal::NoRoute)),
    }
}

/// The body of a request that has no parameters.
fn object<'a>(query: &str, body: &'a [u8]) -> Result<Object<'a>, Refusal> {
    without_parameters(query, ())?;
    Object::parse(body, "the body is not a JSON object")
}

/// The address is the caller's own where none is given.
fn with_ip(mut object: Object<'_>) -> Object<'_> {
    object.set_default("ip", "-");
    object
}

fn without_parameters<T>(query: &str, value: T) -> Result<T, Refusal> {
    match parameters(query).next() {
        None => Ok(value),
        Some(parameter) => {
            let name = parameter.map_err(Refusal::Http)?.name;
            Err(unknown(&name))
        }
    }
}

/// The type, where it is given, and options as those of text commands.
fn parse<'a>(
    query: &'a str,
    known: &[&'static str],
) -> Result<(Option<ServiceType<'a>>, Options), Refusal> {
    let mut options = Options::default();
    let mut service_type: Option<Cow<'a, str>> = None;
    for parameter in parameters(query) {
        let parameter = parameter.map_err(Refusal::Http)?;
        if parameter.name != "type" {
            let added = options.add(&parameter.word(), known);
            added.map_err(|refusal| match refusal {
                Refusal::UnknownOption(_) => unknown(&parameter.name),
                refusal => refusal,
            })?;
        } else if service_type.replace(parameter.value).is_some() {
            return Err(Refusal::OptionTwice("type"));
        }
    }
    let service_type = service_type.map(ServiceType::new).transpose()?;
    Ok((service_type, options))
}

fn unknown(name: &str) -> Refusal {
    Refusal::Http(HttpRefusal::UnknownParameter(name.into()))
}
