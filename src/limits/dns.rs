//! The bounds of datagrams and of DNS.

use super::{READ_LEN_MAX, TURN_WORK_MAX};

/// Bytes of a query over DNS; of a longer one over TCP the rest is not read.
pub const DNS_QUERY_LEN_MAX: usize = 4096;
/// Bytes of an answer in a datagram to a client that does not say how long it may be (RFC 1035).
pub const DNS_PLAIN_LEN_MAX: usize = 512;
/// Bytes of an answer in a datagram that leaves this host, so that it is not fragmented (RFC 9715).
pub const DNS_UDP_LEN_MAX: usize = 1232;
/// Bytes of an answer in a datagram to a client on this host: as many as a datagram can have.
pub const DNS_LOOPBACK_LEN_MAX: usize = 65_507;
/// Milliseconds from the first byte of a query over TCP to its last.
pub const DNS_MS_MAX: u64 = 10_000;
/// Milliseconds in which a connection of DNS must complete a query.
pub const DNS_IDLE_MS_MAX: u64 = 10_000;
/// Characters of `--dns-zone`.
pub const DNS_ZONE_LEN_MAX: usize = 63;
/// Default of `--dns-zone`.
pub const DNS_ZONE_DEFAULT: &str = "service.internal";
/// Largest `--dns-ttl`, in seconds (RFC 2181).
pub const DNS_TTL_MAX: u32 = i32::MAX as u32;
/// Seconds for which clients may keep the address that the name of an address stands for.
pub const DNS_ADDRESS_TTL: u32 = 3600;
/// Registrations of a name that DNS looks at, oldest first: as many addresses as a message can have.
pub const DNS_RECORDS_MAX: usize = 4096;
/// Names of which it is logged, once each, that their answers are cut.
pub const DNS_CUT_TYPES_MAX: usize = 1024;
/// Bytes of the kernel's receive buffer of a datagram socket: what arrives during a long turn waits there.
pub const DATAGRAM_BUFFER_LEN: usize = 1024 * 1024;
/// Answers that are alike which one network gets in a second in datagrams that leave this host.
pub const ALIKE_A_SECOND_MAX: u32 = 200;
/// One in so many of the answers beyond that is sent, with nothing in it, so that a client asks over TCP.
pub const ALIKE_SLIP_ONE_IN: u32 = 2;
/// Kinds of answers that are counted at once.
pub const ALIKE_KINDS_MAX: usize = 4096;
/// Datagrams answered on one socket in a turn, however little of its work is left.
pub const TURN_DATAGRAMS_MIN: usize = 64;
/// Datagrams received from one socket in one turn of the loop.
pub const TURN_DATAGRAMS_MAX: usize = 256;
/// Units of work of a datagram beside its request: two system calls.
pub const DATAGRAM_WORK: usize = 32;

const _: () = {
    assert!(
        READ_LEN_MAX >= DNS_QUERY_LEN_MAX + 2,
        "a whole query fits into one buffer"
    );
    const ZONE_WIRE_LEN_MAX: usize = DNS_ZONE_LEN_MAX + 2;
    assert!(
        "XX".len() + 36 + "Xaddr".len() + ZONE_WIRE_LEN_MAX <= 255,
        "the zone leaves room for the name of an address"
    );
    assert!(
        12 + 255 + 4 + 12 + 8 + 11 + 2 * ZONE_WIRE_LEN_MAX + 20 + 11 <= DNS_PLAIN_LEN_MAX,
        "an answer without records always fits: header, question, SOA with two names in the zone, OPT"
    );
    assert!(
        TURN_DATAGRAMS_MIN * DATAGRAM_WORK * 4 <= TURN_WORK_MAX as usize,
        "the datagrams that are always answered make no turn much longer"
    );
};
