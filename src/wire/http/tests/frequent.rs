//! Queries that a connection knows by the fields of the one before.

use std::rc::Rc;

use crate::limits::HTTP_FIELDS_KEPT_LEN_MAX;
use crate::message::{Command, Credential, Frequent, Reply, Request, ServiceAddress, Services};
use crate::wire::output::Output;
use crate::wire::{Codec, Decoded, Protocol};

const QUERY: &str = "GET /api/query?type=hive HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";

/// A connection that has answered these requests.
fn after(requests: &[&str]) -> Codec {
    let mut codec = Codec::new(&Protocol::RegistryAndHttp(Rc::default()));
    for request in requests {
        let step = codec.decode(request.as_bytes());
        assert_eq!(step.consumed, request.len(), "{request}");
        let is_command = matches!(step.decoded, Decoded::Command(_));
        let reply = if is_command { Reply::Ok } else { Reply::Bye };
        codec.encode(&reply, &mut Output::default());
        assert_eq!(codec.decode(b"").decoded, Decoded::Incomplete);
    }
    codec
}

/// How services are answered now.
fn services(codec: &mut Codec) -> Vec<u8> {
    let services = vec![ServiceAddress::new("10.0.0.1", 80).unwrap()];
    let mut output = Output::default();
    let reply = Reply::Services(Rc::new(Services::new(services.into())));
    codec.encode(&reply, &mut output);
    assert_eq!(codec.ends_with(&reply), None);
    output.take()
}

/// What is taken for frequent must mean the same as any request, and be answered so; returns whether it was
/// taken.
fn check(requests: &[&str], input: &[u8]) -> bool {
    let (mut short, mut long) = (after(requests), after(requests));
    let Some((frequent, len)) = short.frequent(input) else {
        return false;
    };
    let Frequent::Query(name) = frequent else {
        panic!("{frequent:?}");
    };
    let step = long.decode(input);
    match step.decoded {
        Decoded::Command(Command {
            credential: Credential::OfMessage(None),
            request:
                Request::Query {
                    service_type,
                    max_age: None,
                    labels: None,
                    limit: None,
                },
        }) => {
            assert_eq!(service_type.as_str().as_bytes(), name);
            assert_eq!(step.consumed, len);
            assert_eq!(services(&mut short), services(&mut long));
        }
        // The name is checked when it is looked up: no type has it.
        Decoded::Denied(..) => assert!(name.is_empty() || name.len() > 63),
        other => panic!("{other:?}"),
    }
    true
}

#[test]
fn a_query_with_the_fields_of_the_one_before_means_the_same_as_any_request() {
    let long = QUERY.replace("hive", &"x".repeat(64));
    for query in [QUERY, &long] {
        assert!(check(&[QUERY], query.as_bytes()));
        for at in 0..query.len() {
            assert!(!check(&[QUERY], &query.as_bytes()[..at]));
            for byte in 0..=255_u8 {
                let mut other = query.as_bytes().to_vec();
                other[at] = byte;
                check(&[QUERY], &other);
                other.insert(at, byte);
                other.extend(QUERY.as_bytes());
                check(&[QUERY], &other);
            }
        }
    }
    assert!(check(
        &["HEAD /metrics HTTP/1.1\r\nHost: b\r\n\r\n", QUERY],
        QUERY.as_bytes()
    ));
}

#[test]
fn only_usual_fields_are_known_again_and_only_those_of_the_request_before() {
    let with = |field: &str| QUERY.replace("Accept: */*", field);
    let padding = "x".repeat(HTTP_FIELDS_KEPT_LEN_MAX - "Host: a\r\nA: \r\n\r\n".len());
    let longest = with(&format!("A: {padding}"));
    assert!(check(&[&longest], longest.as_bytes()));
    for unusual in [
        &with("Connection: close"),
        &with("Authorization: Bearer t"),
        &with("X-Consul-Token: t"),
        &with("Content-Length: 0\r\nExpect: 100-continue"),
        &(with("Content-Length: 5") + "?????"),
        &(with("Transfer-Encoding: chunked") + "0\r\n\r\n"),
        &QUERY.replace("1.1", "1.0"),
        &QUERY.replace("GET", "HEAD"),
        &QUERY.replace("/api", "http://b/api"),
        &QUERY.replace("?", "?limit=1&"),
        &QUERY.replace("query", "list"),
        &QUERY.replace("hive", "%zz"),
        &with(&format!("A: {padding}x")),
    ] {
        let fields = &unusual[unusual.find("\r\n").unwrap()..];
        let query = format!("GET /api/query?type=hive HTTP/1.1{fields}");
        assert!(!check(&[unusual], query.as_bytes()), "{unusual}");
        assert!(!check(&[QUERY, unusual], QUERY.as_bytes()), "{unusual}");
    }
    assert!(!check(&[], QUERY.as_bytes()));
}

#[test]
fn a_query_is_not_frequent_amid_another_request() {
    let mut codec = after(&[QUERY]);
    let step = codec.decode(&QUERY.as_bytes()[..30]);
    assert_eq!(step.decoded, Decoded::Incomplete);
    assert!(codec.frequent(QUERY.as_bytes()).is_none());
    let head = "GET /api/query?type=a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    let mut codec = after(&[QUERY]);
    assert_eq!(codec.decode(head.as_bytes()).decoded, Decoded::Incomplete);
    assert!(codec.frequent(QUERY.as_bytes()).is_none());
    let step = codec.decode(b"??");
    assert!(matches!(step.decoded, Decoded::Command(_)));
    codec.encode(&Reply::Ok, &mut Output::default());
    assert!(codec.frequent(QUERY.as_bytes()).is_none());
    assert!(codec.frequent(head.as_bytes()).is_none());
}
