//! Who asks: the tokens that a request carries, and whether a web page of another origin sent it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::consul;
use super::head::Head;
use super::host::is_own_origin;
use super::route::Route;
use super::site::Site;
use crate::limits::TOKEN_LEN_MAX;
use crate::message::HttpRefusal;

/// Whether the request may have been sent by a web page that is not the service's own. Such a page can
/// make a browser on this host send requests, and under a name that it lets resolve to this host it
/// could read the answers.
pub(super) fn refuse(head: &Head<'_>, site: &Site) -> Result<(), HttpRefusal> {
    if !site.has_host(head.authority) {
        return Err(HttpRefusal::Host);
    }
    let is_foreign = |origin: &str| !is_own_origin(origin, head.authority);
    if head.is_cross_site || head.origin.is_some_and(is_foreign) {
        return Err(HttpRefusal::CrossOrigin);
    }
    Ok(())
}

/// The token that the request carries, if it does; what is open to all needs none, and looks at none.
pub(super) fn token<'a>(head: &Head<'a>, route: Route) -> Option<Cow<'a, str>> {
    if route.is_open() {
        return None;
    }
    let of_query = || {
        let is_consul = route.is_consul();
        is_consul.then(|| consul::token(head.query)).flatten()
    };
    let of_field = || {
        let token = head.consul_token.filter(|token| !token.is_empty())?;
        Some(String::from_utf8_lossy(token))
    };
    of_query()
        .or_else(of_field)
        .or_else(|| authorized(head.authorization?))
}

/// The token of an `Authorization` field: that of `Bearer`, or the password of `Basic`.
fn authorized(value: &[u8]) -> Option<Cow<'_, str>> {
    let space = memchr::memchr(b' ', value)?;
    let (scheme, credentials) = (&value[..space], value[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(String::from_utf8_lossy(credentials));
    }
    // What is longer is no token, and the user's name is short.
    if !scheme.eq_ignore_ascii_case(b"basic") || credentials.len() > 2 * TOKEN_LEN_MAX {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    Some(Cow::Owned(password.to_owned()))
}
