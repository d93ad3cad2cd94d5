//! The honest: what the service must not lose, and a client that measures how soon it is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::attackers::Streams;
use crate::common::client::{Client, latencies};

/// Every honest connection begins with it. A service without tokens takes any.
pub(crate) const TOKEN: &str = "honest";
/// Registrations of the type that is asked for.
const SMALL: usize = 10;
/// Registrations with a short TTL that heartbeats keep.
const KEPT: usize = 100;
const KEPT_TTL: u32 = 3;
const HEARTBEATS_EVERY: Duration = Duration::from_secs(1);
/// From an answer to the next request.
const PAUSE: Duration = Duration::from_millis(3);
/// After so long a request has failed.
const GIVE_UP: Duration = Duration::from_secs(20);

/// What is measured.
pub(crate) const REQUESTS: [&str; 5] = [
    "ping",
    "heartbeat",
    "query small",
    "list small",
    "watch small",
];

/// The latencies of one kind of request, in microseconds.
pub(crate) struct Measured {
    pub(crate) latency: Histogram<u64>,
    /// Requests without an answer.
    pub(crate) failed: u64,
}

pub(crate) fn connect(address: &str) -> Client {
    let mut client = Client::connect(address);
    assert_eq!(client.ask(&format!("auth {TOKEN}\n")), "OK");
    client
}

/// Live registrations, of which none may be lost.
pub(crate) struct Live {
    uuid_of_small: String,
    uuids_of_kept: Vec<String>,
    holders: usize,
}

impl Live {
    pub(crate) fn register(client: &mut Client, holders: usize) -> Self {
        let mut register = |line: String| client.ask(&line).to_owned();
        let small = (1..=SMALL).map(|port| register(format!("register small 10.0.0.1 {port}\n")));
        let uuid_of_small = small.last().expect("there are some");
        let kept = (1..=KEPT)
            .map(|port| register(format!("register kept 10.0.0.1 {port} ttl={KEPT_TTL}\n")));
        let uuids_of_kept = kept.collect();
        Live {
            uuid_of_small,
            uuids_of_kept,
            holders,
        }
    }

    /// Keeps what must be kept until it is `over`.
    pub(crate) fn keep<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        address: &'s str,
        over: &'s AtomicBool,
    ) {
        scope.spawn(move || {
            let first = format!("auth {TOKEN}\nhold held 10.0.0.1 80\nwatch held\n");
            Streams::connect(address, self.holders, &first, "", None).run(over);
        });
        scope.spawn(move || {
            let line = |uuid: &String| format!("heartbeat {uuid}\n");
            let heartbeats: String = self.uuids_of_kept.iter().map(line).collect();
            let mut client = connect(address);
            while !over.load(Ordering::Relaxed) {
                client.send_many(&heartbeats, KEPT);
                thread::sleep(HEARTBEATS_EVERY);
            }
        });
        let mut client = connect(address);
        while count(&mut client, "held") < self.holders {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many of them are not live.
    pub(crate) fn lost(&self, client: &mut Client) -> usize {
        let live = ["small", "kept", "held"].map(|name| count(client, name));
        (SMALL + KEPT + self.holders).saturating_sub(live.iter().sum())
    }

    /// Measures each kind of request for `time`, all at once, and then calls `at_end`.
    pub(crate) fn measure(
        &self,
        address: &str,
        time: Duration,
        at_end: impl FnOnce(),
    ) -> Vec<Measured> {
        let end = Instant::now() + time;
        thread::scope(|scope| {
            let probes = REQUESTS.map(|request| {
                let line = match request {
                    "heartbeat" => format!("heartbeat {}\n", self.uuid_of_small),
                    _ => format!("{request}\n"),
                };
                scope.spawn(move || probe(address, &line, end))
            });
            thread::sleep(time);
            at_end();
            probes.map(|probe| probe.join().expect("it ends")).into()
        })
    }
}

/// Registrations of this type at the address of the honest.
fn count(client: &mut Client, service_type: &str) -> usize {
    let answer = client.ask(&format!("query {service_type}\n"));
    answer.matches("\"10.0.0.1\"").count()
}

/// Sends one request after the other until `end`, with a pause between. Those that would have been sent
/// while an answer was late count, too.
fn probe(address: &str, line: &str, end: Instant) -> Measured {
    let is_watch = line.starts_with("watch");
    let connect = || {
        let mut client = Client::connect(address);
        client
            .stream
            .set_read_timeout(Some(GIVE_UP))
            .expect("loopback takes options");
        let answer = client.try_ask(&format!("auth {TOKEN}\n"));
        answer.is_ok_and(|answer| answer == "OK").then_some(client)
    };
    let mut measured = Measured {
        latency: latencies(),
        failed: 0,
    };
    let mut client = None;
    while Instant::now() < end {
        let begun = Instant::now();
        // A watch begins with its connection.
        client = client.take().filter(|_| !is_watch).or_else(connect);
        let answer = client.as_mut().map(|client| client.try_ask(line));
        if !answer.is_some_and(|answer| answer.is_ok_and(|answer| !answer.starts_with("ERROR"))) {
            measured.failed += 1;
            client = None;
        }
        let (micros, pause) = (begun.elapsed().as_micros() as u64, PAUSE.as_micros() as u64);
        measured
            .latency
            .record_correct(micros.min(60_000_000), pause)
            .expect("it is within the bounds");
        thread::sleep(PAUSE);
    }
    measured
}
