//! Any input.

use proptest::prelude::*;

use super::*;

fn world() -> World {
    World::new()
        .with(
            "web",
            &[("10.0.0.1", 80), ("10.0.0.1", 81), ("2001:db8::1", 80)],
        )
        .crowd("many", false, 300)
}

fn name() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        Just("web".to_owned()),
        Just("many".to_owned()),
        Just("_web".to_owned()),
        Just("_many".to_owned()),
        Just("_tcp".to_owned()),
        Just("addr".to_owned()),
        Just("ns".to_owned()),
        "[0-9a-fA-F]{8}",
        "[0-9a-f]{12}",
        "[ -~]{1,63}",
    ];
    let labels = proptest::collection::vec(label, 0..3);
    labels.prop_map(|labels| {
        [labels, vec!["service.internal".to_owned()]]
            .concat()
            .join(".")
    })
}

/// A query that is nearly well-formed: some of its bytes are changed.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let rtype = prop_oneof![Just(A), Just(AAAA), Just(SRV), Just(ANY), any::<u16>()];
    let edns = proptest::option::of((any::<u16>(), 0..2_u8, any::<u16>()));
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (name(), rtype, edns, changes).prop_map(|(name, rtype, edns, changes)| {
        let mut message = query(&name, rtype);
        if let Some((len, version, flags)) = edns {
            message = with_edns(message, len, version, flags);
        }
        for (at, value) in changes {
            let at = at.index(message.len());
            message[at] = value;
        }
        message
    })
}

fn check(message: &[u8]) {
    for transport in DnsTransport::ALL {
        let Some(answer) = world().ask(transport, message) else {
            assert!(message.len() < 12 || message[2] & 0x80 != 0, "silence");
            continue;
        };
        assert_eq!(answer[..2], message[..2], "the id");
        let told = read(&answer);
        for question in &told.queries {
            assert_eq!(told.queries.len(), 1, "{question}");
        }
        assert!(transport == DnsTransport::Udp || !told.metadata.truncation);
    }
}

proptest! {
    #[test]
    fn row_58_whatever_arrives_gets_a_well_formed_answer_or_none(
        message in proptest::collection::vec(any::<u8>(), 0..600)
    ) {
        check(&message);
    }

    #[test]
    fn row_58_whatever_is_nearly_a_query_gets_a_well_formed_answer_or_none(message in nearly()) {
        check(&message);
    }
}
