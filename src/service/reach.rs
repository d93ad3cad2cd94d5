//! Which addresses peers mean, and which they may register.

use std::collections::HashSet;
use std::net::IpAddr;

use log::warn;

use crate::limits::LOOPBACK_WARNINGS_MAX;
use crate::message::{Offer, Peer, Refusal, Request, ServiceAddress, check_ip};

/// The rules about addresses.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Whether peers on other hosts may register their own address only.
    own_only: bool,
    /// What `-` means for a peer on this host; without it, the address that the peer comes from.
    advertised: Option<IpAddr>,
    /// The loopback addresses that were warned of, where they are to be warned of.
    warned: Option<HashSet<ServiceAddress>>,
}

impl Reach {
    /// Lets peers on other hosts register their own address only.
    pub(super) fn require_own(&mut self) {
        self.own_only = true;
    }

    /// Lets `-` mean `ip` for peers on this host.
    pub(super) fn advertise(&mut self, ip: IpAddr) {
        self.advertised = Some(ip);
    }

    /// Warns of registrations at loopback addresses, because there are clients on other hosts.
    pub(super) fn warn_of_loopback(&mut self) {
        self.warned = Some(HashSet::new());
    }

    /// The address that the peer means by `-`.
    pub(super) fn observed(&self, peer: &Peer) -> IpAddr {
        self.advertised
            .filter(|_| peer.is_local)
            .unwrap_or(peer.ip())
    }

    /// Why the peer may not register what the request offers, if it offers something.
    pub(super) fn refuse(&self, request: &Request<'_>, peer: &Peer) -> Option<Refusal> {
        self.refuse_offer(request.offer()?, peer)
    }

    /// Why the peer may not register what it offers.
    pub(super) fn refuse_offer(&self, offer: &Offer<'_>, peer: &Peer) -> Option<Refusal> {
        let Some(ip) = offer.ip else {
            return check_ip(self.observed(peer)).err();
        };
        // An address that the peer has named was checked when the request was made.
        let is_own = peer.is_local || ip == peer.ip();
        (self.own_only && !is_own).then_some(Refusal::OtherAddress)
    }

    /// Takes note of a registration at `address`.
    pub(super) fn note(&mut self, service_type: &str, address: ServiceAddress) {
        let Some(warned) = &mut self.warned else {
            return;
        };
        let ServiceAddress { ip, port } = address;
        if ip.is_loopback() && warned.len() < LOOPBACK_WARNINGS_MAX && warned.insert(address) {
            warn!(
                "{service_type:?} is registered at {ip} {port}, which clients on other hosts cannot \
                 reach: register - or an address of this host"
            );
        }
    }
}
