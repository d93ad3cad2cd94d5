//! Messages that are no plain question.

use super::*;

fn world() -> World {
    World::new().with("web", &[("10.0.0.1", 80)])
}

fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let [udp, tcp] = DnsTransport::ALL.map(|transport| world().ask(transport, message));
    assert_eq!(udp, tcp, "the transport does not matter");
    udp
}

fn web() -> Vec<u8> {
    query("web.service.internal", A)
}

/// The header alone, with the id and these flags and response code.
fn header(flags: u16) -> Vec<u8> {
    let [high, low] = flags.to_be_bytes();
    vec![0x12, 0x34, high, low, 0, 0, 0, 0, 0, 0, 0, 0]
}

const FORMERR: u16 = 0x8101;

#[test]
fn row_58_what_is_no_query_is_not_answered() {
    let mut response = web();
    response[2] |= 0x80;
    assert_eq!(
        answer(&response),
        None,
        "two servers would go on answering each other"
    );
    for len in 0..12 {
        assert_eq!(answer(&web()[..len]), None);
    }
}

#[test]
fn row_58_other_operations_are_not_implemented() {
    for opcode in 1..16_u8 {
        let mut message = with_edns(web(), 1232, 0, 0);
        message[2] = opcode << 3 | 0x07;
        message[3] = 0xFF;
        let expected = header(0x8004 | u16::from(opcode) << 11);
        assert_eq!(answer(&message), Some(expected.clone()));
        assert_eq!(answer(&message[..12]), Some(expected));
    }
}

#[test]
fn row_58_malformed_queries_are_refused_with_the_header_alone() {
    let set = |at: usize, value: u8| {
        let mut message = web();
        message[at] = value;
        message
    };
    let mut pointer = web();
    pointer.splice(12..12, [0xC0, 0x0C]);
    let mut forward = web();
    forward.splice(12..33, [3, b'w', b'e', b'b', 0xC0, 0x20]);
    let mut long = query("", A);
    let labels = [&[63][..], &[b'a'; 63]].concat().repeat(4);
    long.splice(12..12, labels);
    let mut behind = query("", A);
    behind.splice(12..13, [3, b'w', b'e', b'b', 0xC0, 0x00]);
    let extended = |at: usize, count: u8, more: &[u8]| {
        let mut message = set(at, count);
        message.extend_from_slice(more);
        message
    };
    let record = [0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0];
    for (what, message) in [
        ("no question", set(5, 0)),
        ("two whole questions", extended(5, 2, &web()[12..])),
        ("a whole answer", extended(7, 1, &record)),
        ("a whole authority", extended(9, 1, &record)),
        ("two questions", set(5, 2)),
        ("65280 questions", set(4, 0xFF)),
        ("an answer", set(7, 1)),
        ("an authority", set(9, 1)),
        ("an additional record that is not there", set(11, 1)),
        ("a pointer to itself", pointer),
        ("a pointer forward", forward),
        ("a pointer into the header", behind),
        ("a name of more than 255 octets", long),
        ("a label of a kind that is not known", set(12, 0x43)),
        ("a label that is too long", set(12, 64)),
        ("a label behind the end", set(12, 63)),
    ] {
        assert_eq!(answer(&message), Some(header(FORMERR)), "{what}");
    }
    for len in 12..web().len() {
        assert_eq!(
            answer(&web()[..len]),
            Some(header(FORMERR)),
            "cut short to {len}"
        );
    }
}

#[test]
fn row_58_a_compressed_name_in_the_question_is_refused() {
    // The pointer leads to a byte of the header that is 0, which is the name of the root; and to the id,
    // which is the beginning of a name.
    for pointer in [4, 0] {
        let mut message = query("", A);
        message[..3].copy_from_slice(&[1, b'x', 0]);
        message.splice(12..13, [0xC0, pointer]);
        let mut expected = header(FORMERR);
        expected[..2].copy_from_slice(&message[..2]);
        expected[2] &= !1;
        assert_eq!(answer(&message), Some(expected), "to {pointer}");
    }
    // It leads to a name in an additional record, which is well-formed.
    let mut message = query("", A);
    message[11] = 1;
    message.splice(12..13, [0xC0, 18]);
    message.extend_from_slice(&[3, b'w', b'e', b'b', 0]);
    message.extend_from_slice(&[0, 16, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(answer(&message), Some(header(FORMERR)));
}

#[test]
fn row_58_malformed_opt_records_are_refused() {
    let opt = with_edns(web(), 1232, 0, 0);
    let at = web().len();
    let mut twice = opt.clone();
    twice[11] = 2;
    twice.extend_from_slice(&opt[at..]);
    let mut not_at_root = opt.clone();
    not_at_root.splice(at..=at, [1, b'x', 0]);
    let mut cut_option = opt.clone();
    let end = cut_option.len();
    cut_option.splice(end - 2.., [0, 4, 0, 10, 0, 8]);
    let mut long = opt.clone();
    long[end - 1] = 1;
    for (what, message) in [
        ("two", twice),
        ("not at the root", not_at_root),
        ("an option that is cut short", cut_option),
        ("data that is not there", long),
    ] {
        assert_eq!(answer(&message), Some(header(FORMERR)), "{what}");
    }
    for len in at..opt.len() {
        assert_eq!(
            answer(&opt[..len]),
            Some(header(FORMERR)),
            "cut short to {len}"
        );
    }
}

#[test]
fn a_malformed_query_whose_opt_record_is_understood_gets_one() {
    let mut message = with_edns(web(), 1232, 0, 0x8000);
    message.splice(12..at_end_of_question(), []);
    message[5] = 0;
    let told = answer(&message).unwrap();
    assert_eq!(told[..4], header(FORMERR)[..4]);
    let message = read(&told);
    let edns = message.edns.unwrap();
    assert!(edns.flags().dnssec_ok, "the DO bit is copied");
}

fn at_end_of_question() -> usize {
    web().len()
}

#[test]
fn an_opt_record_is_answered_with_one_and_its_options_are_ignored() {
    let mut message = with_edns(web(), 1232, 0, 0);
    let end = message.len();
    // A cookie, a client subnet, and an option that nobody knows.
    let options = [
        &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8][..],
        &[0, 8, 0, 4, 0, 1, 0, 0],
        &[0xFD, 0xE9, 0, 0],
    ]
    .concat();
    message.splice(end - 2.., (options.len() as u16).to_be_bytes());
    message.extend_from_slice(&options);
    // AD and CD are asked for.
    message[3] |= 0x30;
    let told = read(&answer(&message).unwrap());
    assert_eq!(told.answers.len(), 1);
    assert!(told.edns.unwrap().options().as_ref().is_empty());
    assert!(read(&answer(&web()).unwrap()).edns.is_none());
}

#[test]
fn another_version_of_edns_is_told_which_one_is_spoken() {
    let message = with_edns(web(), 1232, 1, 0);
    let told = read(&answer(&message).unwrap());
    assert_eq!(u16::from(told.metadata.response_code), 16);
    assert!(told.answers.is_empty() && !told.metadata.authoritative);
    assert_eq!(answer(&message).unwrap()[3] & 0x0F, 0);
}

#[test]
fn what_is_not_in_the_zone_is_refused_without_a_referral() {
    let chaos = |name| {
        let mut message = query(name, TXT);
        let end = message.len();
        message[end - 1] = 3;
        message
    };
    for message in [
        query("example.org", A),
        query("internal", A),
        query("", NS),
        query("a.root-servers.net", A),
        query("webservice.internal", A),
        query("service.internal.org", A),
        chaos("version.bind"),
        chaos("web.service.internal"),
        query("service.internal", 252),
        query("service.internal", 251),
    ] {
        let told = read(&answer(&message).unwrap());
        assert_eq!(show(&told), ["Refused rd"], "{message:?}");
        assert_eq!(told.queries.len(), 1, "the question is repeated");
    }
    // A dot in a label is no end of one, so this is not in the zone.
    let mut dotted = query("webXservice.internal", A);
    dotted[16] = b'.';
    assert_eq!(show(&read(&answer(&dotted).unwrap())), ["Refused rd"]);
    let mut any_class = web();
    let end = any_class.len();
    any_class[end - 1] = 255;
    assert_eq!(read(&answer(&any_class).unwrap()).answers.len(), 1);
}

#[test]
fn the_question_is_repeated_as_it_came_and_owners_point_to_it() {
    let message = query("wEb.SerVice.iNternal", A);
    let told = answer(&message).unwrap();
    assert_eq!(told[12..message.len()], message[12..]);
    assert_eq!(told[message.len()..message.len() + 2], [0xC0, 0x0C]);
    let mut undesired = web();
    undesired[2] = 0;
    assert_eq!(answer(&undesired).unwrap()[2], 0x84, "RD is copied");
}

#[test]
fn queries_over_tcp_are_answered_in_their_order_however_they_are_split() {
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let mut response = web();
    response[2] |= 0x80;
    let input = [
        framed(&web()),
        framed(&response),
        framed(b""),
        framed(&query("no.service.internal", A)),
    ]
    .concat();
    let world = world();
    for piece in 1..=input.len() {
        let mut exchange = Exchange::new(&world.site, DnsTransport::Tcp);
        let (mut start, mut end, mut codes) = (0, 0, Vec::new());
        while end < input.len() {
            end = (end + piece).min(input.len());
            loop {
                let step = exchange.decode(&input[start..end]);
                start += step.consumed;
                let Decoded::Command(command) = step.decoded else {
                    assert_eq!(step.decoded, Decoded::Incomplete);
                    break;
                };
                let mut output = Output::default();
                exchange.encode(&world.reply(&command.request), &mut output);
                codes.push(output.take()[5]);
            }
        }
        assert_eq!((start, codes), (input.len(), vec![0, 3]));
    }
}

#[test]
fn row_58_a_longer_query_over_tcp_ends_the_connection() {
    let mut exchange = Exchange::new(&world().site, DnsTransport::Tcp);
    let Decoded::Refused(refusal) = exchange.decode(&[0x10, 0x01]).decoded else {
        panic!("it is refused before it has come");
    };
    let reply = Reply::Refused(refusal);
    let mut output = Output::default();
    exchange.encode(&reply, &mut output);
    assert!(output.is_empty());
    assert_eq!(exchange.ends_with(&reply), Some(CloseReason::Protocol));
}

#[test]
fn an_answer_that_is_cut_to_nothing_asks_for_tcp() {
    let world = world();
    let message = with_edns(web(), 1232, 0, 0);
    let mut exchange = Exchange::new(&world.site, DnsTransport::Udp);
    assert!(matches!(
        exchange.decode(&message).decoded,
        Decoded::Command(_)
    ));
    let mut output = Output::default();
    exchange.encode_cut(&mut output);
    let told = read(&output.take());
    assert_eq!(show(&told), ["NoError aa tc rd"]);
    assert!(told.edns.is_some());
}

#[test]
fn queries_are_counted_by_transport_and_by_response_code() {
    let world = World::new().crowd("web", false, 50);
    let messages = [
        web(),
        query("no.service.internal", A),
        query("org", A),
        query("web", 252),
        Vec::new(),
    ];
    for message in &messages {
        world.ask(DnsTransport::Udp, message);
    }
    world.ask(DnsTransport::Tcp, &web());
    let stats = world.site.counters().stats();
    let queries = DnsTransport::ALL.map(|transport| stats.queries.get(transport));
    assert_eq!(queries, [4, 1]);
    let codes = DnsCode::ALL.map(|code| stats.answers.get(code));
    assert_eq!(codes, [2, 0, 0, 1, 0, 2, 0]);
    assert_eq!(
        stats.truncated, 1,
        "the datagram; over TCP nothing was missing"
    );
}
