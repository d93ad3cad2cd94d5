//! What DNS answers to any bytes is well-formed for another reader, which is strict, and no longer than it may be.

use std::rc::Rc;

use discovery_service::message::{
    DnsTransport, Endpoint, Endpoints, Rendered, Reply, Request, ServiceAddress,
};
use discovery_service::wire::dns::Site;
use discovery_service::wire::output::Output;
use discovery_service::wire::{Codec, Decoded, Protocol};
use hickory_proto::op::Message;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// The first byte chooses the transport and the address that is served; the rest is one datagram, or all that
/// comes on a connection.
pub fn dns_messages(bytes: &[u8]) {
    let Some((&choice, input)) = bytes.split_first() else {
        return;
    };
    let transport = DnsTransport::ALL[usize::from(choice % 2)];
    let (address, datagram_len_max) = if choice & 2 == 0 {
        ("127.0.0.1", 65_507)
    } else {
        ("192.0.2.1", 1232)
    };
    let zone = "service.internal".parse().expect("a zone");
    let address = address.parse().expect("an address");
    let site = Site::new(zone, 0, address, &Rc::default());
    let mut codec = Codec::new(&Protocol::Dns(Rc::new(site), transport));
    let mut start = 0;
    loop {
        let step = codec.decode(&input[start..]);
        let question = &input[start..start + step.consumed];
        start += step.consumed;
        let reply = match step.decoded {
            Decoded::Command(command) => reply(&command.request),
            Decoded::Refused(refusal) => Reply::Refused(refusal),
            _ => return,
        };
        let mut output = Output::default();
        codec.encode(&reply, &mut output);
        let answer = output.take();
        match transport {
            DnsTransport::Udp => {
                assert!(answer.len() <= datagram_len_max);
                check(question, &answer);
                return;
            }
            DnsTransport::Tcp if codec.ends_with(&reply).is_some() => {
                assert!(answer.is_empty());
                return;
            }
            DnsTransport::Tcp => {
                let (len, answer) = answer.split_at(2);
                assert_eq!(len, (answer.len() as u16).to_be_bytes());
                check(&[], answer);
            }
        }
    }
}

fn check(question: &[u8], answer: &[u8]) {
    let mut decoder = BinDecoder::new(answer);
    let message = Message::read(&mut decoder).expect("a message");
    assert!(decoder.is_empty(), "bytes behind the message");
    assert!(answer[2] & 0x80 != 0, "it is an answer");
    if let Some(id) = question.get(..2) {
        assert_eq!(&answer[..2], id);
    }
    assert!(message.answers.is_empty() || message.metadata.authoritative);
}

/// Each type has services: few, or, for those whose names begin with `m`, many.
fn reply(request: &Request<'_>) -> Reply {
    let Request::Resolve { service_type } = request else {
        panic!("{request:?}");
    };
    let endpoint = |number: u16| Endpoint {
        address: match number % 3 {
            0 => ServiceAddress::new("2001:db8::1", u64::from(number) + 1),
            _ => ServiceAddress::new(&format!("10.0.{}.{}", number >> 8, number & 255), 80),
        }
        .expect("an address"),
        priority: number,
        weight: 1,
    };
    let endpoints = service_type.as_ref().map(|name| {
        let len = if name.as_str().starts_with('m') {
            2000
        } else {
            3
        };
        let endpoints = Endpoints((0..len).map(endpoint).collect());
        Rc::new(Rendered::new(endpoints))
    });
    Reply::Endpoints {
        index: 7,
        endpoints,
    }
}
