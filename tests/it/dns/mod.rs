//! Services by name over DNS: by hand, and with programs that resolve.

mod haproxy;
mod nginx;
mod sockets;
mod tools;
mod unbound;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};

use crate::common::{Client, PATIENCE, Service};

/// A service that answers DNS on a free port of loopback.
fn service() -> Service {
    Service::start(&["--dns-listen", "127.0.0.1:0"])
}

/// Registers services of a type; returns their UUIDs.
fn register(client: &mut Client, service_type: &str, addresses: &[(String, u16)]) -> Vec<String> {
    let register =
        |(ip, port): &(String, u16)| client.ask(&format!("register {service_type} {ip} {port}"));
    addresses.iter().map(register).collect()
}

/// So many addresses of loopback, at one port.
fn hosts(len: u8, port: u16) -> Vec<(String, u16)> {
    (1..=len)
        .map(|host| (format!("127.0.0.{host}"), port))
        .collect()
}

/// So many ports of one host.
fn ports(len: u16) -> Vec<(String, u16)> {
    (1..=len)
        .map(|port| ("127.0.0.1".to_owned(), port))
        .collect()
}

/// A query without EDNS.
fn query(name: &str, rtype: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(name).expect("a name");
    message.add_query(Query::query(name, rtype));
    message
}

fn with_edns(mut message: Message, payload_len: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload_len);
    message.set_edns(edns);
    message
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("it can be written")
}

fn read(bytes: &[u8]) -> Message {
    Message::from_vec(bytes).expect("a message")
}

/// A socket for datagrams to this address.
fn udp(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((to.ip(), 0)).expect("a free port");
    socket.connect(to).expect("it is on this host");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time");
    socket
}

fn ask_udp(socket: &UdpSocket, message: &[u8]) -> Vec<u8> {
    socket.send(message).expect("it is sent");
    let mut buffer = vec![0; 65_536];
    let len = socket.recv(&mut buffer).expect("an answer");
    buffer.truncate(len);
    buffer
}

pub fn look_up(service: &Service, name: &str, rtype: RecordType) -> Message {
    let socket = udp(service.dns_address());
    read(&ask_udp(&socket, &bytes(&query(name, rtype))))
}

fn tcp(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

fn send_tcp(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&framed(message)).expect("it is sent");
}

fn receive_tcp(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).expect("an answer");
    let mut message = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut message).expect("a whole answer");
    message
}
