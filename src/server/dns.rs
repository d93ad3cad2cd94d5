//! The sockets of DNS: for each address one for datagrams and one for connections, at the same port.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use log::warn;
use mio::net::{TcpListener, UdpSocket};

use super::StartError;
use super::config::DnsConfig;
use super::network::MioNetwork;
use crate::message::DnsTransport;
use crate::wire::Protocol;
use crate::wire::dns::{Counters, Site};

/// How often a free port is taken for datagrams, until it is free for connections too.
const PORT_TRIES: usize = 16;

/// The open sockets of DNS.
#[derive(Default)]
pub(super) struct DnsSockets {
    pub(super) listeners: Vec<(TcpListener, Protocol)>,
    pub(super) datagrams: Vec<(UdpSocket, Protocol)>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) counters: Rc<Counters>,
}

impl DnsSockets {
    /// Opens all of them; the numbers of the listeners begin with `first_listener`.
    pub(super) fn open(
        network: &mut MioNetwork,
        config: &DnsConfig,
        first_listener: usize,
    ) -> Result<Self, StartError> {
        let mut sockets = DnsSockets::default();
        for &address in &config.listen {
            let listener = first_listener + sockets.listeners.len();
            sockets
                .open_at(network, config, address, listener)
                .map_err(|error| StartError::Listen(address, error))?;
        }
        Ok(sockets)
    }

    fn open_at(
        &mut self,
        network: &mut MioNetwork,
        config: &DnsConfig,
        address: SocketAddr,
        listener: usize,
    ) -> io::Result<()> {
        let (socket, (stream, address)) = pair(network, address, self.datagrams.len(), listener)?;
        let zone = config.zone.clone();
        let site = Rc::new(Site::new(zone, config.ttl, address.ip(), &self.counters));
        let protocol = |transport| Protocol::Dns(Rc::clone(&site), transport);
        self.datagrams.push((socket, protocol(DnsTransport::Udp)));
        self.listeners.push((stream, protocol(DnsTransport::Tcp)));
        self.addresses.push(address);
        Ok(())
    }
}

/// Logs of which names not all services can be told.
pub(super) fn log_cut(counters: &Counters) {
    for name in counters.take_cut() {
        warn!("{name:?} has more services than fit into a message of DNS: the oldest are told");
    }
}

/// Both sockets at one address.
fn pair(
    network: &mut MioNetwork,
    address: SocketAddr,
    number: usize,
    listener: usize,
) -> io::Result<(UdpSocket, (TcpListener, SocketAddr))> {
    let mut tries = 1..PORT_TRIES;
    loop {
        let (socket, actual) = network.bind_datagram(address, number)?;
        match network.listen(actual, listener) {
            Ok(stream) => return Ok((socket, stream)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 => {
                tries.next().ok_or(error)?;
            }
            Err(error) => return Err(error),
        }
    }
}
