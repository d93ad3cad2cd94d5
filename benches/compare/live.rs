//! Holders and watchers: how soon a watcher learns of a dead holder, and what watchers cost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::common::client::latencies;
use crate::common::process::raise_limit;
use crate::load::{Load, Sample};
use crate::servers::{Kind, Server, Verb};
use crate::table;

const WATCHERS: usize = 1_000;
const IDLE_WATCHERS: usize = 10_000;

pub(crate) fn run(rounds: u64, time: Duration) {
    println!("Holding and watching\n");
    holder_kills(1_000);
    for kind in [Kind::Discovery, Kind::Floor("tell")] {
        change_to_many_watchers(kind, 50);
    }
    idle_watchers();
    heartbeats_beside_watchers(rounds, time);
    println!();
}

/// The process that [`holder_kills`] kills: it holds a registration and waits.
pub(crate) fn hold(address: &str) -> ! {
    let mut stream = TcpStream::connect(address).expect("the service accepts");
    stream
        .write_all(b"hold dying 10.0.0.1 80\n")
        .expect("the service reads");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    std::process::exit(0);
}

/// A watching connection, after its snapshot.
pub(crate) fn watch(address: &str, command: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).expect("the service accepts");
    stream.set_nodelay(true).expect("loopback takes options");
    stream
        .write_all(command.as_bytes())
        .expect("the service reads");
    let mut reader = BufReader::new(stream);
    assert!(
        line(&mut reader).contains("services"),
        "the snapshot comes first"
    );
    reader
}

pub(crate) fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("the service answers");
    line
}

/// From `kill -9` of a holder to the delta at a watcher.
fn holder_kills(count: usize) {
    let server = Server::start(Kind::Discovery, 0).expect("the service starts");
    let mut watcher = watch(&server.address, "watch dying\n");
    let this = std::env::current_exe().expect("this bench is a file");
    let mut latency = latencies();
    for _ in 0..count {
        let mut holder = Command::new(&this)
            .env("COMPARE_HOLDER", &server.address)
            .stdout(Stdio::null())
            .spawn();
        let holder = holder.as_mut().expect("this bench starts again");
        assert!(line(&mut watcher).contains("\"up\":[{"));
        let killed = Instant::now();
        holder.kill().expect("it runs");
        assert!(line(&mut watcher).contains("\"down\":[{"));
        latency.saturating_record(killed.elapsed().as_micros() as u64);
        holder.wait().expect("it is ours");
    }
    println!(
        "kill -9 of a holder to the line at a watcher, {count} times: median {:.2} ms, p99 {:.2} ms, worst {:.2} ms",
        latency.value_at_quantile(0.5) as f64 / 1e3,
        latency.value_at_quantile(0.99) as f64 / 1e3,
        latency.max() as f64 / 1e3
    );
}

/// From a registration to the last of many watchers that receives it; the floor is a bare loop that writes
/// as many bytes to as many sockets.
fn change_to_many_watchers(kind: Kind, count: usize) {
    let server = Server::announced(kind).expect("the server starts");
    let mut poll = Poll::new().expect("a poll");
    let mut watchers: Vec<mio::net::TcpStream> = (0..WATCHERS)
        .map(|i| {
            let stream = watch(&server.address, "watch hive\n").into_inner();
            stream
                .set_nonblocking(true)
                .expect("loopback takes options");
            let mut stream = mio::net::TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(i), Interest::READABLE)
                .expect("a stream");
            stream
        })
        .collect();
    let mut client = TcpStream::connect(&server.address).expect("the service accepts");
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 4096];
    let mut times: Vec<f64> = Vec::new();
    for port in 1..=count {
        let begun = Instant::now();
        client
            .write_all(format!("register hive 10.0.0.1 {port}\n").as_bytes())
            .expect("the service reads");
        let mut notified = 0;
        while notified < WATCHERS {
            poll.poll(&mut events, Some(Duration::from_secs(10)))
                .expect("poll");
            assert!(!events.is_empty(), "only {notified} watchers were notified");
            for event in &events {
                while let Ok(n) = watchers[event.token().0].read(&mut buffer) {
                    notified += memchr::memchr_iter(b'\n', &buffer[..n]).count();
                }
            }
        }
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{}: one change sent to {WATCHERS} watchers: median {:.1} ms, worst of {count} {:.1} ms",
        if kind == Kind::Discovery {
            "discovery"
        } else {
            "floor"
        },
        times[count / 2],
        times[count - 1]
    );
}

/// Memory of watchers while nothing changes.
fn idle_watchers() {
    raise_limit();
    let arguments = ["--max-connections", "11000"];
    let server = Server::with_arguments(&arguments);
    let before = server.resident();
    let watchers: Vec<_> = (0..IDLE_WATCHERS)
        .map(|_| watch(&server.address, "watch hive\n").into_inner())
        .collect();
    let each = (server.resident() - before) as f64 / watchers.len() as f64;
    println!("{IDLE_WATCHERS} idle watchers: {each:.0} bytes each");
}

/// Heartbeats with and without watchers of other types, interleaved.
fn heartbeats_beside_watchers(rounds: u64, time: Duration) {
    let servers = [0, WATCHERS].map(|watchers| {
        let server = Server::start(Kind::Discovery, crate::KEYS).expect("the service starts");
        let watchers: Vec<_> = (0..watchers)
            .map(|_| watch(&server.address, "watch other\n"))
            .collect();
        (server, watchers)
    });
    let mut loads = servers
        .each_ref()
        .map(|(server, _)| Load::connect(server, 50, 16, server.requests(Verb::Heartbeat)));
    let mut samples: [Vec<Sample>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for i in 0..2 {
            samples[i].push(loads[i].run(&servers[i].0, time));
        }
    }
    let [without, with] = samples.each_ref().map(|samples| table::summary(samples));
    println!(
        "heartbeats at 16 in flight: {without} a second; with {WATCHERS} watchers of other types: {with}"
    );
}
