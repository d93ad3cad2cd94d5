//! The address of this host that its own services are registered at.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use log::warn;

use crate::message::check_ip;

/// Addresses far away, of root servers of the domain name system: the way to them is the default route.
const FAR: [&str; 2] = ["198.41.0.4:53", "[2001:503:ba3e::2:30]:53"];

/// What `-` means for callers on this host when the service listens on `listeners`; `None` when that is
/// the loopback address that they come from.
pub(super) fn advertised(listeners: &[SocketAddr]) -> Option<IpAddr> {
    let public = || {
        let ips = listeners.iter().map(SocketAddr::ip);
        ips.filter(|ip| !ip.is_loopback())
    };
    if let Some(ip) = public().find(|&ip| check_ip(ip).is_ok()) {
        return Some(ip);
    }
    let wildcard = public().find(IpAddr::is_unspecified)?;
    let ip = source_of_default_route(wildcard);
    if ip.is_none() {
        warn!(
            "no default route tells an address of this host: callers on it that register - are told to \
             others as they come, maybe from loopback; --advertise names one"
        );
    }
    ip
}

/// The address that the host would use on its default route, in the family of `wildcard`. Nothing is
/// sent: connecting a datagram socket only looks the route up.
fn source_of_default_route(wildcard: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((wildcard, 0)).ok()?;
    FAR.iter()
        .filter_map(|far| far.parse::<SocketAddr>().ok())
        .filter(|far| far.is_ipv4() == wildcard.is_ipv4())
        .find_map(|far| {
            socket.connect(far).ok()?;
            let ip = socket.local_addr().ok()?.ip();
            check_ip(ip).ok().filter(|ip| !ip.is_loopback())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_listener_is_advertised_and_loopback_is_not() {
        let advertised = |listeners: &[&str]| {
            let listeners: Vec<SocketAddr> = listeners
                .iter()
                .map(|listener| listener.parse().unwrap())
                .collect();
            advertised(&listeners)
        };
        let ip = |text: &str| Some(text.parse().unwrap());
        assert_eq!(advertised(&["127.0.0.1:1", "[::1]:2"]), None);
        assert_eq!(
            advertised(&["127.0.0.1:1", "0.0.0.0:2", "192.0.2.7:1", "192.0.2.8:1"]),
            ip("192.0.2.7")
        );
        assert_eq!(
            advertised(&["[fe80::1]:1", "[2001:db8::1]:1"]),
            ip("2001:db8::1")
        );
        for wildcard in ["0.0.0.0:1", "[::]:1"] {
            let found = advertised(&[wildcard]);
            assert!(
                found.is_none_or(|ip| !ip.is_loopback() && check_ip(ip) == Ok(ip)),
                "{found:?}"
            );
        }
    }
}
