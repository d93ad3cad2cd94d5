//! Every bound of the service, named with its unit, in one place.
//!
//! The relations between them are asserted at compile time. Bounds that a user
//! sets (`--ttl`, `--max-services`, …) have their ranges and defaults here; the
//! values in force live in [`crate::server::config::Config`].

mod cluster;
mod dns;
mod etcd;
mod state;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use cluster::*;
pub use dns::*;
pub use etcd::*;
pub use state::*;

/// Bytes of a text command before its line end.
pub const LINE_LEN_MAX: usize = 1024;
/// Bytes of the big-endian header length that starts a frame.
pub const FRAME_PREFIX_LEN: usize = 2;
/// Bytes of a frame's JSON header: the largest length whose first byte, 0x07, still marks a frame.
pub const FRAME_HEADER_LEN_MAX: usize = 2047;
/// Bytes of a frame's content.
pub const FRAME_CONTENT_LEN_MAX: usize = 4096;
/// Bytes of the longest whole frame.
pub const FRAME_LEN_MAX: usize = FRAME_PREFIX_LEN + FRAME_HEADER_LEN_MAX + FRAME_CONTENT_LEN_MAX;
/// Bytes of the head of an HTTP request: its first line and its fields.
pub const HTTP_HEAD_LEN_MAX: usize = 8 * 1024;
/// Fields in the head of an HTTP request.
pub const HTTP_FIELDS_MAX: usize = 100;
/// Bytes of the fields of an HTTP request that its connection keeps, to know them again in the next one.
pub const HTTP_FIELDS_KEPT_LEN_MAX: usize = 512;
/// Bytes of the body of an HTTP request.
pub const HTTP_BODY_LEN_MAX: usize = 64 * 1024;
/// Milliseconds from the first byte of an HTTP request to its last.
pub const HTTP_MS_MAX: u64 = 10_000;
/// Milliseconds that a request with an index waits for a change where it does not say how long.
pub const WAIT_MS_DEFAULT: u64 = 300_000;
/// Milliseconds that such a request may wait.
pub const WAIT_MS_MAX: u64 = 600_000;
/// The wait is up to one part in so many longer, so that not all who began together end together.
pub const WAIT_JITTER_ONE_IN: u64 = 16;
/// Types that are remembered with the index of their last change after they have gone.
pub const GONE_TYPES_MAX: usize = 1024;
/// Tags of a type that a list of all types with their tags tells.
pub const NAME_TAGS_MAX: usize = 1024;
/// Types whose registrations `/metrics` tells with `--metrics-types`.
pub const METRICS_TYPES_MAX: usize = 1000;
/// Bytes of a token: with `auth ` before it, it fits into a line.
pub const TOKEN_LEN_MAX: usize = 1000;
/// Bytes of a token file.
pub const TOKEN_FILE_LEN_MAX: u64 = 1024 * 1024;
/// Bytes of a service type's name.
pub const TYPE_LEN_MAX: usize = 63;

/// Bytes of a tag.
pub const TAG_LEN_MAX: usize = 255;
/// Characters of a key of metadata.
pub const META_KEY_LEN_MAX: usize = 63;
/// Bytes of a value of metadata.
pub const META_VALUE_LEN_MAX: usize = 1024;
/// Tags of a registration, and likewise pairs of metadata.
pub const LABELS_COUNT_MAX: usize = 64;
/// Bytes of all tags, keys and values of a registration.
pub const LABELS_LEN_MAX: usize = 4096;
/// Bytes of memory for the tags and metadata of all registrations; equal ones are stored once.
pub const ALL_LABELS_LEN_MAX: usize = 256 * 1024 * 1024;
/// Services of a `query` with `limit=`.
pub const QUERY_LIMIT_MAX: usize = 4096;

/// Seconds that a registration lives without a heartbeat.
pub const TTL_SECONDS: RangeInclusive<u32> = 1..=86_400;
/// Default of `--ttl`.
pub const TTL_SECONDS_DEFAULT: u32 = 30;
/// Milliseconds between two sweeps of expired registrations.
pub const TICK_MS: RangeInclusive<u32> = 10..=60_000;
/// Default of `--tick`.
pub const TICK_MS_DEFAULT: u32 = 1000;
/// Registrations held at once: slot numbers are `u32`, and the last one means "none".
pub const SERVICES: RangeInclusive<u32> = 1..=u32::MAX - 1;
/// Default of `--max-services`.
pub const SERVICES_DEFAULT: u32 = 1_000_000;
/// Bytes of memory that a registration takes with all indexes, rounded up: see the README.
pub const SERVICE_MEMORY_LEN: u64 = 170;
/// Connections held at once.
pub const CONNECTIONS: RangeInclusive<u32> = 1..=1_000_000;
/// Default of `--max-connections`.
pub const CONNECTIONS_DEFAULT: u32 = 10_000;
/// Default of `--idle-timeout`, in seconds; 0 turns it off.
pub const IDLE_SECONDS_DEFAULT: u32 = 300;
/// Largest `--idle-timeout`, in seconds: a year.
pub const IDLE_SECONDS_MAX: u32 = 31_536_000;

/// Connections that the kernel keeps for a listener until they are accepted.
pub const BACKLOG: i32 = 1024;

/// Bytes of the kernel's send buffer of a connection, and of its receive buffer, overhead included.
pub const SOCKET_BUFFER_LEN_MAX: usize = 256 * 1024;
/// Bytes by which such a buffer may pass the size that it was given: a segment of 64 KiB, and its overhead.
pub const SOCKET_SEGMENT_LEN_MAX: usize = 72 * 1024;
/// Bytes that the kernel takes from a peer that holds or watches before it has sent them. The rest waits in
/// the service, where changes are shared, and not in a copy for each watcher.
pub const UNSENT_LEN_MAX: u32 = 16 * 1024;
/// Time without progress after which what the kernel still has to send on a connection is dropped with
/// the connection, unless the peer holds or watches.
pub const UNACKNOWLEDGED_TIME_MAX: Duration = Duration::from_secs(30);

/// Milliseconds within which the silent death of a watcher's host is noticed. For a holder it is the TTL.
pub const WATCHER_DEATH_MS_MAX: u64 = 45_000;
/// The share of that time after which a peer is asked, and after which it is asked again, one in so many.
pub const SILENCE_CHECK_ONE_IN: u64 = 8;
/// Shares of that time for which nothing was heard of a host that counts as dead.
pub const SILENCE_SHARES_MIN: u64 = 6;
/// Milliseconds that a peer has at least to acknowledge what it was sent: delayed acknowledgements and a
/// retransmission take less.
pub const SILENCE_CHECK_MS_MIN: u64 = 500;

/// The longest time between two probes of a closed window of a peer that holds or watches, where the
/// kernel can be told.
pub const WINDOW_PROBES_APART_MAX: Duration = Duration::from_secs(10);

/// Time without traffic after which TCP probes a peer.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Time between two such probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Probes without an answer after which the connection has failed.
pub const KEEPALIVE_PROBES: u32 = 3;

/// Bytes read from a socket at once; also the most that one connection can have read but not run.
pub const READ_LEN_MAX: usize = 12 * 1024;
/// Bytes of pending output of one connection at which the service stops reading its commands.
pub const OUTPUT_WAITING_LEN_MAX: usize = 64 * 1024;
/// Bytes of pending output of all connections together; a shared answer counts once.
pub const WAITING_LEN_MAX: usize = 64 * 1024 * 1024;
/// Bytes of pending output of all connections together at which long answers wait until others are
/// read, so that the rest is left for short ones.
pub const WAITING_ADMIT_LEN_MAX: usize = WAITING_LEN_MAX / 2;
/// Bytes of room that is made for long answers when they have found none for [`OUTPUT_STALL_MS_MAX`].
pub const ROOM_MADE_LEN: usize = WAITING_ADMIT_LEN_MAX / 4;
/// Bytes of pending output of one connection at which no further command is run while there is no room
/// for long answers.
pub const TIGHT_RUN_LEN_MAX: usize = 1024;
/// Bytes of memory of a connection from which on it is closed before others where memory is short.
pub const CLOSED_FIRST_LEN_MIN: usize = 4096;
/// Bytes of memory that a shared answer takes beside its text.
pub const SHARED_ANSWER_LEN: usize = 96;
/// Bytes of pending output at which no further command is run. It leaves room below
/// [`OUTPUT_WAITING_LEN_MAX`] for the longest answer that is copied, with the header of its frame.
pub const OUTPUT_RUN_LEN_MAX: usize = OUTPUT_WAITING_LEN_MAX - ANSWER_COPY_LEN_MAX - 512;
/// Bytes of an answer up to which it is copied into a connection's output; longer ones are shared.
pub const ANSWER_COPY_LEN_MAX: usize = 2048;

/// Bytes read from one connection in one turn of the loop.
pub const TURN_READ_LEN_MAX: usize = 8 * READ_LEN_MAX;
/// Units of work in one turn of the loop, of a quarter of a microsecond each on an ordinary core:
/// 3 ms, which leaves room for the last piece, the system calls and a slower core below 5 ms.
pub const TURN_WORK_MAX: u32 = 12_000;
/// Units of work on one session in one turn of the loop.
pub const SHARE_WORK_MAX: usize = 1_200;
/// Units of work on a session that had nothing to do before: enough for what a client sends at once
/// that waits for its answers. Who has more is served with those that always have.
pub const FIRST_SHARE_WORK_MAX: usize = 160;
/// Bytes of an answer, or of the part of a snapshot, whose peer is served with those that always have
/// something to do: a thousand that are sent long ones together come behind a client that asks for little.
pub const HEAVY_LEN_MIN: usize = 16 * 1024;
/// Units of a visit to a session: its system calls.
pub const VISIT_WORK: usize = 16;
/// Bytes read or written for one unit: the kernel's part of it, which is a nanosecond for each.
pub const BYTES_A_UNIT: u64 = 256;
/// Units of a command that is refused before it is run.
pub const REFUSAL_WORK: usize = 2;
/// Units of accepting a connection.
pub const ACCEPT_WORK: usize = 32;
/// Units of a turn's work that accepting leaves for those who are connected.
pub const ACCEPT_LEAVES_WORK: usize = TURN_WORK_MAX as usize / 3;
/// Connections that are accepted from one listener in one turn of the loop although little work is left.
pub const TURN_ACCEPTS_MIN: usize = 16;
/// Bytes of input that cost a unit at least, such as empty lines, which are no commands.
pub const INPUT_BYTES_A_UNIT: u64 = 64;
/// Units of removing a registration, or of looking at one whose time may have come. Less than half of
/// what letting one in costs (a registration and its visit), so that the sweep keeps up with it.
pub const REMOVAL_WORK: usize = 2;
/// Registrations that an answer looks at for one unit.
pub const RECORDS_A_UNIT: usize = 2;
/// Bytes written to one connection in one turn of the loop.
pub const TURN_WRITE_LEN_MAX: usize = 256 * 1024;
/// Connections accepted from one listener in one turn of the loop.
pub const TURN_ACCEPTS_MAX: usize = 256;
/// Registrations that one turn of the loop takes from the timing wheel.
pub const TURN_SWEEP_MAX: usize = TURN_WORK_MAX as usize / 2 / REMOVAL_WORK;
/// Registrations of a type that is swept by itself when it is asked for and the sweep is behind.
pub const SWEPT_ALONE_MAX: usize = 512;
/// Registrations that answers look at in one turn of the loop; the answer that passes it is the last.
pub const TURN_BUILD_RECORDS_MAX: usize = 4096;
/// Timers of connections that go off in one turn of the loop.
pub const TURN_TIMERS_MAX: usize = 1024;
/// Connections whose token is looked at in one turn of the loop after the token file was read again.
pub const TURN_TOKENS_MAX: usize = 256;
/// Commands to links that the service may give in one turn of the loop.
pub const TURN_LINK_COMMANDS_MAX: usize = 256;
/// Links, which are connections that the service opens itself.
pub const LINKS_MAX: usize = 8;
/// Events taken from the kernel in one turn of the loop.
pub const TURN_EVENTS_MAX: usize = 1024;

/// Bytes of cached query answers. The latest answer is cached whatever its length.
pub const ANSWERS_KEPT_LEN_MAX: usize = 8 * 1024 * 1024;

/// Registrations that one connection may hold.
pub const HOLDS_MAX: usize = 1024;
/// Held registrations that one turn of the loop removes after their connections have ended, and
/// registrations that `replace` examines in one turn.
pub const TURN_REMOVALS_MAX: usize = 2048;
/// Milliseconds without a `replace` after which the index that it uses is given back.
pub const ADDRESS_INDEX_UNUSED_MS: u64 = 600_000;
/// Pages of an index that one turn of the loop gives back.
pub const TURN_PAGES_FREED_MAX: usize = 64;
/// Departures that `why` remembers.
pub const DEPARTURES_MAX: usize = 1024;
/// Registrations or types of an answer that is made at once; longer ones are made in parts. An answer to
/// `query` has [`ANSWER_RECORDS_MAX`].
pub const LISTED_AT_ONCE_MAX: usize = 256;
/// Registrations in an answer to `query` that is made at once, and may be cached.
pub const ANSWER_RECORDS_MAX: usize = 4096;
/// Bytes of a part of a long answer or snapshot.
pub const PART_LEN_MAX: usize = 64 * 1024;
/// Registrations left of a turn's share for answers below which no further part is begun.
pub const PART_RECORDS_MIN: usize = 64;
/// Units of work in one turn of the loop for the parts of long answers and snapshots: one for each
/// registration that is looked at, which is also encoded.
pub const TURN_PARTS_WORK_MAX: usize = 4_000;
/// Units of telling one watcher what has changed.
pub const TOLD_WORK: usize = 8;
/// Watchers that one turn of the loop tells what has changed; the others are told in the next turns. So
/// many are also visited in a turn, to be sent it, so that those that ask wait for few of them.
pub const TURN_TOLD_MAX: usize = 300;
/// Watchers that one turn tells at least, also when the sessions have left no work.
pub const TURN_TOLD_MIN: usize = 64;
/// Watchers that one turn tells when more has changed meanwhile than is told together.
pub const TURN_TOLD_HURRIED_MAX: usize = 600;
/// Changes that wait until the watchers have been told those before, at which telling hurries.
pub const CHANGES_COLLECTED_LEN: usize = 4_096;
/// Units of handing one part to its session.
pub const PART_DELIVERY_WORK: usize = 4;
/// Bytes of the content of a framed answer.
pub const FRAME_ANSWER_LEN_MAX: usize = 32 * 1024 * 1024;
/// Bytes of deltas that are moved into a watcher's output together.
pub const FEED_BATCH_LEN_MAX: usize = 16 * 1024;
/// Milliseconds without an update after which a watcher is sent a keepalive.
pub const WATCH_SILENCE_MS: u64 = 15_000;
/// Milliseconds between two log lines about failures to accept.
pub const ACCEPT_LOG_QUIET_MS: u64 = 10_000;
/// Loopback addresses that are warned of, each once, while clients on other hosts can connect.
pub const LOOPBACK_WARNINGS_MAX: usize = 1024;
/// Milliseconds between two log lines of the same kind that peers can cause.
pub const LOG_QUIET_MS: u64 = 1_000;
/// Bytes of a log line with its end: a write of up to this length to a pipe is atomic (pipe(7)).
pub const LOG_LINE_LEN_MAX: usize = 4096;

/// Milliseconds that a turn may come later than planned before that counts as a pause.
pub const LATE_MS_MAX: u64 = 10;
/// Milliseconds for which registry time may stand still after a stall, while input that arrived
/// during the stall is handled.
pub const STALL_BACKLOG_MS_MAX: u64 = 1_000;
/// Milliseconds from the first byte of a text command to its last: people type them.
pub const LINE_MS_MAX: u64 = 60_000;
/// Milliseconds from the first byte of a frame to its last.
pub const FRAME_MS_MAX: u64 = 10_000;
/// Milliseconds from the accept of a connection until its peer must have shown a token, where the
/// service requires one.
pub const AUTHENTICATE_MS_MAX: u64 = 10_000;
/// One connection in so many is kept for peers that have shown a token, where one is required.
pub const CONNECTIONS_KEPT_ONE_IN: usize = 10;
/// Milliseconds that a peer may take no byte of its pending output.
pub const OUTPUT_STALL_MS_MAX: u64 = 10_000;
/// Milliseconds for which the input of a closing connection is drained, so that its peer reads the
/// last answer and not a reset.
pub const LINGER_MS_MAX: u64 = 2_000;
/// Refused connections that may linger to deliver the refusal; further ones are closed at once.
pub const LINGERING_REFUSED_MAX: usize = 64;
/// Failures to accept in one turn after which a listener backs off.
pub const ACCEPT_FAILURES_MAX: usize = 8;
/// Milliseconds after which accepting is retried when the process lacked descriptors or memory.
pub const ACCEPT_RETRY_MS: u64 = 50;
/// Milliseconds that a stopping service takes at most to finish the replies in flight.
pub const SHUTDOWN_MS_MAX: u64 = 2_000;

const _: () = {
    assert!(
        SHARE_WORK_MAX * 4 <= TURN_WORK_MAX as usize,
        "several sessions get a share in a turn"
    );
    assert!(
        UNACKNOWLEDGED_TIME_MAX.as_secs()
            >= KEEPALIVE_IDLE.as_secs() + KEEPALIVE_INTERVAL.as_secs() * KEEPALIVE_PROBES as u64,
        "the user timeout, which counts for probes too (tcp(7)), lets all of them be answered"
    );
    assert!(
        FRAME_HEADER_LEN_MAX >> 8 == 0x07,
        "the first byte decides between frame and text"
    );
    assert!(
        READ_LEN_MAX >= FRAME_LEN_MAX,
        "a whole frame fits into one buffer"
    );
    assert!(
        READ_LEN_MAX >= HTTP_HEAD_LEN_MAX + 4,
        "a whole head fits into one buffer"
    );
    assert!(
        READ_LEN_MAX >= LINE_LEN_MAX + 2,
        "a whole line with CRLF fits into one buffer"
    );
    assert!(
        OUTPUT_RUN_LEN_MAX > OUTPUT_WAITING_LEN_MAX / 2,
        "a pipelining client gets large writes"
    );
    assert!(TURN_READ_LEN_MAX >= READ_LEN_MAX);
    assert!(
        HEAVY_LEN_MIN as u64 <= FIRST_SHARE_WORK_MAX as u64 * BYTES_A_UNIT
            && HEAVY_LEN_MIN < PART_LEN_MAX,
        "who is served with those that ask for little is sent little"
    );
    assert!(
        CONNECTIONS_DEFAULT as usize * (TIGHT_RUN_LEN_MAX + ANSWER_COPY_LEN_MAX)
            <= WAITING_LEN_MAX - WAITING_ADMIT_LEN_MAX,
        "what is left for short answers is enough for all connections"
    );
    assert!(ROOM_MADE_LEN >= PART_LEN_MAX && FRAME_ANSWER_LEN_MAX <= WAITING_ADMIT_LEN_MAX);
    assert!(
        TURN_PARTS_WORK_MAX * 2 <= TURN_WORK_MAX as usize,
        "most of a turn is left for requests while long answers are made"
    );
    assert!(
        TURN_TOLD_HURRIED_MAX * TOLD_WORK + TURN_PARTS_WORK_MAX < TURN_WORK_MAX as usize,
        "something is left of a turn for requests while watchers are told"
    );
    assert!(
        TURN_TOLD_MAX * (VISIT_WORK + 1)
            < (TURN_WORK_MAX as usize - TURN_TOLD_MAX * TOLD_WORK) * 3 / 4,
        "those that are told in a turn can be visited in a turn"
    );
    assert!(PART_RECORDS_MIN + PART_DELIVERY_WORK <= TURN_PARTS_WORK_MAX);
    assert!(
        ANSWER_RECORDS_MAX <= TURN_BUILD_RECORDS_MAX && LISTED_AT_ONCE_MAX <= ANSWER_RECORDS_MAX,
        "what is made at once is a part of a turn"
    );
    assert!(
        HOLDS_MAX <= TURN_REMOVALS_MAX,
        "one turn can remove all registrations of a holder"
    );
    assert!(
        ACCEPT_RETRY_MS <= 100,
        "accepting resumes within 100 ms of a free descriptor"
    );
    assert!(
        *SERVICES.end() < u32::MAX,
        "the last slot number means none"
    );
};
