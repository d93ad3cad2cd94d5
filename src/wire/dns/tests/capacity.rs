//! How much fits, and what is told of more.

use super::*;

/// The records of an answer of so many services, to a client that takes `offered` bytes: those of the answer,
/// the additional ones, and whether it says that there are more.
fn told(
    world: &World,
    name: &str,
    rtype: u16,
    transport: DnsTransport,
    offered: Option<u16>,
) -> (usize, usize, bool) {
    let plain = query(name, rtype);
    let message = match offered {
        Some(len) => with_edns(plain, len, 0, 0),
        None => plain,
    };
    let answer = world.ask(transport, &message).unwrap();
    let most = match (transport, offered) {
        (DnsTransport::Tcp, _) => 65_535,
        (_, offered) => usize::from(offered.unwrap_or(512).max(512)),
    };
    assert!(answer.len() <= most, "{} of {most} bytes", answer.len());
    let message = read(&answer);
    let (answers, additionals) = (message.answers.len(), message.additionals.len());
    (answers, additionals, message.metadata.truncation)
}

#[test]
fn as_many_whole_records_are_told_as_fit_and_the_first_ones_where_not_all_do() {
    let srv = "_web._tcp.service.internal";
    let a = "web.service.internal";
    let udp = DnsTransport::Udp;
    // At each size: SRV records, those with all additional records, and addresses; for IPv4 and for IPv6.
    for (offered, v4, v6) in [
        (None, (8, 6, 29), (6, 4, 16)),
        (Some(1232), (21, 16, 73), (15, 11, 42)),
        (Some(8192), (150, 116, 508), (104, 76, 290)),
    ] {
        for (is_v6, rtype, (services, with_all, addresses)) in [(false, A, v4), (true, AAAA, v6)] {
            let crowd = |len| World::new().crowd("web", is_v6, len as u32);
            let ask = |len: usize, name, rtype| told(&crowd(len), name, rtype, udp, offered);
            assert_eq!(ask(with_all, srv, SRV), (with_all, with_all, false));
            let (told, additionals, cut) = ask(with_all + 1, srv, SRV);
            assert_eq!(
                (told, cut),
                (with_all + 1, false),
                "no TC for additional records"
            );
            assert!(additionals <= with_all);
            assert_eq!(ask(services, srv, SRV).0, services);
            assert_eq!(ask(services + 1, srv, SRV), (services, 0, true));
            assert_eq!(ask(addresses, a, rtype), (addresses, 0, false));
            assert_eq!(ask(addresses + 1, a, rtype), (addresses, 0, true));
        }
    }
}

#[test]
fn the_longest_message_over_tcp_never_says_that_it_is_cut() {
    let (srv, a) = ("_web._tcp.service.internal", "web.service.internal");
    for (is_v6, rtype, services, addresses) in [(false, A, 1212, 4092), (true, AAAA, 839, 2338)] {
        let world = World::new().crowd("web", is_v6, 4200);
        for offered in [None, Some(512), Some(8192)] {
            let (told_services, _, cut) = told(&world, srv, SRV, DnsTransport::Tcp, offered);
            assert!(
                !cut && (services..services + 3).contains(&told_services),
                "{told_services}"
            );
            let (told_addresses, _, cut) = told(&world, a, rtype, DnsTransport::Tcp, offered);
            assert!(!cut && (addresses..addresses + 4).contains(&told_addresses));
        }
    }
}

#[test]
fn targets_too_far_behind_to_be_pointed_to_are_written_out() {
    for is_v6 in [false, true] {
        let world = World::new().crowd("web", is_v6, 500);
        let message = query("_web._tcp.service.internal", SRV);
        let answer = read(&world.ask(DnsTransport::Tcp, &message).unwrap());
        let targets = answer.answers.iter().map(|record| {
            let text = record.data.to_string();
            text.split(' ').next_back().unwrap().to_owned()
        });
        let owners = answer
            .additionals
            .iter()
            .map(|record| record.name.to_ascii());
        assert_eq!(answer.additionals.len(), 500);
        assert!(targets.eq(owners), "one for each target, in their order");
    }
}

#[test]
fn a_datagram_that_leaves_this_host_has_1232_bytes_at_most() {
    let srv = "_web._tcp.service.internal";
    for (address, offered, services) in [
        ("127.0.0.1", Some(65_535), 500),
        ("::1", Some(8192), 150),
        ("192.0.2.1", Some(65_535), 21),
        ("192.0.2.1", Some(800), 13),
        ("192.0.2.1", None, 8),
        ("127.0.0.1", Some(0), 8),
        ("127.0.0.1", Some(511), 8),
    ] {
        let world = World::at(address).crowd("web", false, 500);
        let (told, ..) = told(&world, srv, SRV, DnsTransport::Udp, offered);
        // The OPT record takes room.
        assert!(
            (services - 1..=services).contains(&told),
            "{address} {offered:?}: {told}"
        );
    }
}

#[test]
fn a_whole_answer_begins_elsewhere_each_time_and_a_cut_one_does_not() {
    let first = |world: &World, rtype| {
        let message = query("web.service.internal", rtype);
        let answer = read(&world.ask(DnsTransport::Udp, &message).unwrap());
        line(&answer.answers[0])
    };
    for (rtype, other) in [(A, AAAA), (SRV, A)] {
        let world = World::new().crowd("web", false, 4);
        let mut counts = std::collections::HashMap::new();
        for _ in 0..400 {
            *counts.entry(first(&world, rtype)).or_insert(0) += 1;
            // As a client does that asks for both families.
            let _ = world.look_up("web.service.internal", other);
        }
        assert_eq!(counts.len(), 4, "{counts:?}");
        assert!(
            counts.values().all(|count| (80..=120).contains(count)),
            "{counts:?}"
        );
    }
    let world = World::new().crowd("web", false, 40);
    let firsts: HashSet<String> = (0..50).map(|_| first(&world, A)).collect();
    assert_eq!(
        firsts,
        ["web.service.internal. 0 A 10.0.0.1".to_owned()].into()
    );
}
