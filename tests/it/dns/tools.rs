//! dig, and the resolver of the C library's cousins.

use super::*;
use crate::common::{finish, tool};

/// What dig prints for these arguments. `None` where it is not installed.
fn dig(service: &Service, arguments: &[&str]) -> Option<String> {
    let mut command = tool("dig")?;
    let port = service.dns_address().port().to_string();
    command
        .args(["@127.0.0.1", "-p", &port, "+tries=1", "+time=10"])
        .args(arguments);
    let ended = finish(command);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    Some(ended.stdout)
}

#[test]
fn dig_reads_every_kind_of_answer_without_a_complaint() {
    let service = service();
    register(&mut service.connect(), "web", &ports(2));
    for (arguments, expected) in [
        (
            &["_web._tcp.service.internal", "SRV"][..],
            &["status: NOERROR", "ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 3"][..],
        ),
        (
            &["web.service.internal", "A", "+noedns"],
            &["ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"],
        ),
        (
            &["web.service.internal", "AAAA"],
            &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1"],
        ),
        (
            &["web.service.internal", "ANY"],
            &["status: NOERROR", "ANSWER: 1", "(TCP)"],
        ),
        (
            &["nobody.service.internal", "A"],
            &["status: NXDOMAIN", "AUTHORITY: 1"],
        ),
        (
            &["_tcp.service.internal", "A"],
            &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1"],
        ),
        (
            &["service.internal", "SOA", "+tcp"],
            &["hostmaster.service.internal."],
        ),
        (&["example.org", "A"], &["status: REFUSED"]),
        (
            &["service.internal", "SOA", "+opcode=5", "+noedns"],
            &["status: NOTIMP"],
        ),
        (
            &["service.internal", "SOA", "+edns=1", "+noednsnegotiation"],
            &["status: BADVERS"],
        ),
        (&["version.bind", "TXT", "CH"], &["status: REFUSED"]),
        (
            &["service.internal", "TYPE666", "+dnssec", "+cdflag", "+nsid"],
            &["status: NOERROR", "flags: do; udp: 1232"],
        ),
    ] {
        let Some(printed) = dig(&service, arguments) else {
            return;
        };
        for part in expected {
            assert!(printed.contains(part), "{arguments:?}: {part}: {printed}");
        }
        for complaint in ["WARNING", "malformed", "extra bytes", "mismatch"] {
            let recursion =
                printed.replace(";; WARNING: recursion requested but not available", "");
            assert!(!recursion.contains(complaint), "{arguments:?}: {printed}");
        }
    }
}

#[test]
fn dig_asks_over_tcp_for_what_does_not_fit() {
    let service = service();
    register(&mut service.connect(), "web", &hosts(100, 80));
    let arguments = ["web.service.internal", "A", "+noedns"];
    let Some(printed) = dig(&service, &arguments) else {
        return;
    };
    assert!(
        printed.contains("Truncated, retrying in TCP mode") && printed.contains("ANSWER: 100"),
        "{printed}"
    );
    let name = "_web._tcp.service.internal";
    let Some(printed) = dig(&service, &[name, "SRV", "+bufsize=8192", "+ignore"]) else {
        return;
    };
    assert!(
        printed.contains("ANSWER: 100, AUTHORITY: 0, ADDITIONAL: 101"),
        "{printed}"
    );
}
