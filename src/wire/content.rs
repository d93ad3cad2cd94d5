//! Requests as JSON objects, which frames and HTTP carry: the content without its `action`.

use std::borrow::Cow;

use super::object::Object;
use crate::message::{
    Labels, Offer, Refusal, Request, ServiceType, Ttl, parse_random_uuid, parse_uuid, query_limit,
};

/// `{"type": <string>, "ip": <string>, "port": <integer>, "ttl": <integer>,
/// "replace": <boolean>}`, of which the last two may be left out.
pub(super) fn register(mut content: Object<'_>) -> Result<Request<'_>, Refusal> {
    let Terms {
        offer,
        ttl,
        replace,
        labels,
    } = terms(&mut content)?;
    Ok(Request::Register {
        offer,
        ttl,
        replace,
        labels,
    })
}

/// As `register`, for a registration that is held.
pub(super) fn hold(mut content: Object<'_>) -> Result<Request<'_>, Refusal> {
    let Terms {
        offer,
        ttl,
        replace,
        labels,
    } = terms(&mut content)?;
    Ok(Request::Hold {
        offer,
        ttl,
        replace,
        labels,
    })
}

/// What a registration is made with.
struct Terms<'a> {
    offer: Offer<'a>,
    ttl: Option<Ttl>,
    replace: bool,
    labels: Option<Box<Labels>>,
}

fn terms<'a>(content: &mut Object<'a>) -> Result<Terms<'a>, Refusal> {
    Ok(Terms {
        offer: offer(content)?,
        ttl: seconds(content, TTL)?,
        replace: content
            .flag("replace", "replace is not true or false")?
            .unwrap_or(false),
        labels: labels(content)?,
    })
}

/// The service to register: `"type"`, `"ip"` and `"port"`.
fn offer<'a>(content: &mut Object<'a>) -> Result<Offer<'a>, Refusal> {
    let service_type = service_type(content)?;
    let ip = content
        .text("ip", "the ip is not a string")?
        .ok_or(Refusal::Frame("the content has no ip"))?;
    let port = content
        .port("port")?
        .ok_or(Refusal::Frame("the content has no port"))?;
    Offer::new(service_type, &ip, port)
}

/// `{"uuid": <string>}`, and as for `register`, but for `replace`, where it may
/// re-register. An `ip` or a `port` says that it may.
pub(super) fn heartbeat(mut content: Object<'_>) -> Result<Request<'_>, Refusal> {
    let uuid = uuid(&mut content)?;
    if !content.has("ip") && !content.has("port") {
        return Ok(Request::Heartbeat {
            uuid: parse_uuid(&uuid),
        });
    }
    Ok(Request::Revive {
        offer: offer(&mut content)?,
        ttl: seconds(&mut content, TTL)?,
        labels: labels(&mut content)?,
        uuid: parse_random_uuid(&uuid)?,
    })
}

/// `{"uuid": <string>}`
pub(super) fn deregister(mut content: Object<'_>) -> Result<Request<'_>, Refusal> {
    Ok(Request::Deregister {
        uuid: parse_uuid(&uuid(&mut content)?),
    })
}

/// `{"uuid": <string>, "tags": [<string>, …], "meta": {<key>: <string>, …}}`
pub(super) fn update(mut content: Object<'_>) -> Result<Request<'_>, Refusal> {
    Ok(Request::Update {
        uuid: parse_uuid(&uuid(&mut content)?),
        labels: labels(&mut content)?,
    })
}

/// `{"uuid": <string>}`
pub(super) fn why(mut content: Object<'_>) -> Result<Request<'_>, Refusal> {
    Ok(Request::Why {
        uuid: parse_uuid(&uuid(&mut content)?),
    })
}

/// The UUID under the key `uuid`, which may also be `service_uuid`.
fn uuid<'a>(content: &mut Object<'a>) -> Result<Cow<'a, str>, Refusal> {
    const NOT_TEXT: &str = "the uuid is not a string";
    match (
        content.text("uuid", NOT_TEXT)?,
        content.text("service_uuid", NOT_TEXT)?,
    ) {
        (Some(_), Some(_)) => Err(Refusal::Frame("uuid and service_uuid are both given")),
        (None, None) => Err(Refusal::Frame("the content has no uuid")),
        (Some(uuid), None) | (None, Some(uuid)) => Ok(uuid),
    }
}

/// `{"type": <string>, "max-age": <integer>}`, or without `max-age`, which may also
/// be `max_age`.
pub(super) fn query(mut content: Object<'_>) -> Result<Request<'_>, Refusal> {
    let service_type = service_type(&mut content)?;
    let max_age = match (
        seconds(&mut content, MAX_AGE)?,
        seconds(&mut content, "max_age")?,
    ) {
        (Some(_), Some(_)) => return Err(Refusal::OptionTwice(MAX_AGE)),
        (max_age, None) | (None, max_age) => max_age,
    };
    Ok(Request::Query {
        service_type,
        max_age,
        labels: labels(&mut content)?,
        limit: limit(&mut content)?,
    })
}

/// `"tags": [<string>, …], "meta": {<key>: <string>, …}`, if either is given.
fn labels(content: &mut Object<'_>) -> Result<Option<Box<Labels>>, Refusal> {
    let tags = content.texts("tags", "tags is not an array of strings")?;
    let meta = content.pairs("meta", "meta is not an object of strings")?;
    if tags.is_none() && meta.is_none() {
        return Ok(None);
    }
    let mut labels = Box::<Labels>::default();
    for tag in tags.iter().flatten() {
        labels.add_tag(tag)?;
    }
    for (key, value) in meta.iter().flatten() {
        labels.add_pair(key, value)?;
    }
    Ok(Some(labels))
}

/// `"limit": <integer>`, if it is given.
fn limit(content: &mut Object<'_>) -> Result<Option<u32>, Refusal> {
    let limit = content.integer("limit", Refusal::OptionLimit)?;
    limit.map(query_limit).transpose()
}

const TTL: &str = "ttl";
const MAX_AGE: &str = "max-age";

/// The option with this name, in seconds, if it is given.
fn seconds(content: &mut Object<'_>, name: &'static str) -> Result<Option<Ttl>, Refusal> {
    let seconds = content.integer(name, Refusal::OptionSeconds(name))?;
    seconds
        .map(|seconds| Ttl::new(seconds).ok_or(Refusal::OptionSeconds(name)))
        .transpose()
}

/// `{"type": <string>}`, or without a type.
pub(super) fn list(mut content: Object<'_>) -> Result<Request<'_>, Refusal> {
    let name = content.text("type", TYPE_NOT_TEXT)?;
    Ok(Request::List {
        service_type: name.map(ServiceType::new).transpose()?,
        labels: None,
    })
}

const TYPE_NOT_TEXT: &str = "the type is not a string";

fn service_type<'a>(content: &mut Object<'a>) -> Result<ServiceType<'a>, Refusal> {
    let name = content
        .text("type", TYPE_NOT_TEXT)?
        .ok_or(Refusal::Frame("the content has no type"))?;
    ServiceType::new(name)
}
