//! What names mean.

use super::*;

const SOA_LINE: &str = "service.internal. 0 SOA ns.addr.service.internal. \
                        hostmaster.service.internal. 7 3600 600 86400 0";

fn world() -> World {
    World::new()
        .with(
            "web",
            &[("10.0.0.1", 80), ("10.0.0.1", 81), ("2001:db8::1", 80)],
        )
        .with("v4", &[("10.0.0.2", 80)])
        .with("v6", &[("2001:db8::2", 80)])
        .with("a.b", &[("10.0.0.3", 80)])
        .with("_tcp", &[("10.0.0.4", 80)])
        .with("x.addr", &[("10.0.0.5", 80)])
        .with("tür", &[("10.0.0.6", 80)])
        .with(&"l".repeat(63), &[("10.0.0.7", 80)])
}

fn no_data() -> Vec<String> {
    vec!["NoError aa rd".into(), format!("ns {SOA_LINE}")]
}

fn no_name() -> Vec<String> {
    vec!["NXDomain aa rd".into(), format!("ns {SOA_LINE}")]
}

fn found(records: &[&str]) -> Vec<String> {
    let first = "NoError aa rd".to_owned();
    [first]
        .into_iter()
        .chain(records.iter().map(|&line| line.to_owned()))
        .collect()
}

#[test]
fn srv_has_one_target_for_each_address_and_port_and_its_address_beside_it() {
    let services = |owner: &str| {
        let line = |hex: &str, port: u16| {
            format!("an {owner}. 0 SRV 1 1 {port} {hex}.addr.service.internal.")
        };
        let v6 = "20010db8000000000000000000000001";
        found(&[
            &line("0a0000010050", 80),
            &line("0a0000010051", 81),
            &line(&format!("{v6}0050"), 80),
            "ar 0a0000010050.addr.service.internal. 3600 A 10.0.0.1",
            "ar 0a0000010051.addr.service.internal. 3600 A 10.0.0.1",
            &format!("ar {v6}0050.addr.service.internal. 3600 AAAA 2001:db8::1"),
        ])
    };
    for owner in [
        "_web._tcp.service.internal",
        "_WEB._UdP.service.INTERNAL",
        "web.service.internal",
    ] {
        // Its first answer begins with the first record.
        let world = world();
        assert_eq!(world.look_up(owner, SRV), services(owner), "{owner}");
    }
}

#[test]
fn addresses_are_told_once_each_and_those_of_the_other_family_are_not() {
    let world = world();
    let web = "web.service.internal";
    assert_eq!(
        world.look_up(web, A),
        found(&["an web.service.internal. 0 A 10.0.0.1"])
    );
    let v6 = found(&["an web.service.internal. 0 AAAA 2001:db8::1"]);
    assert_eq!(world.look_up(web, AAAA), v6);
    assert_eq!(world.look_up("v4.service.internal", AAAA), no_data());
    assert_eq!(world.look_up("v6.service.internal", A), no_data());
    for (name, rtype, record) in [
        ("web", ANY, "0 A 10.0.0.1"),
        ("v6", ANY, "0 AAAA 2001:db8::2"),
        ("a.b", A, "0 A 10.0.0.3"),
        ("_tcp", A, "0 A 10.0.0.4"),
        ("TüR", A, "0 A 10.0.0.6"),
        (&"L".repeat(63), A, "0 A 10.0.0.7"),
    ] {
        let told = world.look_up(&format!("{name}.service.internal"), rtype);
        assert!(
            told.len() == 2 && told[1].ends_with(record),
            "{name}: {told:?}"
        );
    }
}

#[test]
fn the_name_of_an_address_is_that_address_whether_it_is_registered_or_not() {
    let world = world();
    let v6 = "20010DB8000000000000000000000001";
    for (label, rtype, address) in [
        ("0a000001", A, "A 10.0.0.1"),
        ("0A0000010050", A, "A 10.0.0.1"),
        ("c0000201ffff", ANY, "A 192.0.2.1"),
        (v6, AAAA, "AAAA 2001:db8::1"),
        (&format!("{v6}0050"), ANY, "AAAA 2001:db8::1"),
        ("ns", A, "A 127.0.0.1"),
        ("NS", ANY, "A 127.0.0.1"),
    ] {
        let name = format!("{label}.addr.service.internal");
        let expected = format!("an {name}. 3600 {address}");
        assert_eq!(world.look_up(&name, rtype), found(&[&expected]));
    }
    for (label, rtype) in [("0a000001", AAAA), ("0a000001", SRV), (v6, A), ("ns", AAAA)] {
        let name = format!("{label}.addr.service.internal");
        assert_eq!(world.look_up(&name, rtype), no_data(), "{name}");
    }
    for label in [
        "x",
        "0a00000",
        "0a0000010",
        "0a00000g",
        "0a0000010000",
        "00000000",
        "e0000001",
        "ffffffff",
        "x.0a000001",
        "00000000000000000000ffff0a000001",
        "fe800000000000000000000000000001",
        "+a000001",
    ] {
        let name = format!("{label}.addr.service.internal");
        assert_eq!(world.look_up(&name, A), no_name(), "{name}");
    }
}

#[test]
fn names_between_others_exist_without_records() {
    let world = world();
    for (name, rtype) in [
        ("_udp", A),
        ("_udp", SRV),
        ("addr", A),
        ("ADDR", ANY),
        ("", A),
        ("", TXT),
        ("web", TXT),
        ("web", 64),
        ("web", 666),
        ("_web._tcp", A),
        ("_web._tcp", TXT),
    ] {
        let told = world.look_up(&format!("{name}.service.internal"), rtype);
        assert_eq!(told, no_data(), "{name} {rtype}");
    }
}

#[test]
fn what_is_not_registered_does_not_exist() {
    let world = world();
    let long = "l".repeat(60);
    for name in [
        "nobody",
        "b",
        "x.web",
        "_grpc_config.web",
        "_nobody._tcp",
        "_._tcp",
        "x._web._tcp",
        "_dns-sd._udp",
        "web._tcp",
        "a b",
        &format!("{long}.{long}"),
    ] {
        for rtype in [A, AAAA, SRV, TXT, ANY] {
            let told = world.look_up(&format!("{name}.service.internal"), rtype);
            assert_eq!(told, no_name(), "{name} {rtype}");
        }
    }
}

#[test]
fn a_label_that_is_no_text_does_not_exist() {
    let mut message = query("XX.service.internal", A);
    message[13..15].copy_from_slice(&[0xFF, 0x00]);
    let answer = world().ask(DnsTransport::Udp, &message).unwrap();
    assert_eq!(answer[3], 3);
    assert_eq!(
        answer[12..message.len()],
        message[12..],
        "the question is repeated as it came"
    );
}

#[test]
fn the_zone_has_an_authority_and_a_name_server() {
    let world = world();
    let soa = found(&[&format!("an {SOA_LINE}")]);
    assert_eq!(world.look_up("service.internal", SOA), soa);
    assert_eq!(world.look_up("service.internal", ANY), soa);
    let ns = found(&["an service.internal. 0 NS ns.addr.service.internal."]);
    assert_eq!(world.look_up("service.internal", NS), ns);
}

#[test]
fn priority_weight_and_ttl_are_told_as_they_are_set() {
    let zone: Zone = "Example.ORG.".parse().unwrap();
    let address = "127.0.0.1".parse().unwrap();
    let endpoint = Endpoint {
        address: ServiceAddress::new("10.0.0.1", 80).unwrap(),
        priority: 0,
        weight: 65_535,
    };
    let endpoints = Rc::new(Rendered::new(Endpoints([endpoint].into())));
    let world = World {
        site: Rc::new(Site::new(zone, 5, address, &Rc::default())),
        types: vec![("web".to_owned(), endpoints)],
    };
    let told = world.look_up("_web._tcp.example.org", SRV);
    let srv = "an _web._tcp.example.org. 5 SRV 0 65535 80 0a0000010050.addr.example.org.";
    assert_eq!(told[1], srv);
    let told = world.look_up("nobody.example.org", A);
    assert!(told[1].starts_with("ns example.org. 5 SOA ") && told[1].ends_with(" 86400 5"));
}

#[test]
fn a_zone_is_labels_with_dots_between_them() {
    for text in [
        "service.internal",
        "a",
        "A-1._x.",
        &format!("{}.b", "a".repeat(61)),
    ] {
        let zone: Zone = text.parse().unwrap();
        let expected = text.trim_end_matches('.').to_ascii_lowercase();
        assert_eq!(zone.to_string().trim_end_matches('.'), expected);
    }
    for text in [
        "",
        ".",
        "a..b",
        ".a",
        "a b",
        "ä",
        "a\\046b",
        &"a".repeat(64),
        &"a.".repeat(33),
    ] {
        assert_eq!(text.parse::<Zone>(), Err(ZoneError), "{text:?}");
    }
}
