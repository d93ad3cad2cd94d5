//! What waits over HTTP: blocked queries of Consul's API, and event streams.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::servers::Server;

const BLOCKED: usize = 10_000;
const STREAMS: usize = 1_000;
const QUIET: Duration = Duration::from_secs(3);

/// Memory of blocked queries, what they cost while nothing changes, and how soon all are answered.
pub(crate) fn blocked_queries() {
    let server = Server::discovery();
    server.register(10);
    let head = ask(&server, "/v1/health/service/hive", "");
    let index = header(&head, "X-Consul-Index");
    let before = server.memory();
    let target = format!("/v1/health/service/hive?index={index}&wait=10m");
    let mut waiting: Vec<TcpStream> = (0..BLOCKED)
        .map(|_| request(&server, &target, ""))
        .collect();
    settle(&server);
    let each = server.memory().saturating_sub(before) / BLOCKED as u64;
    let idle = server.processor_time();
    std::thread::sleep(QUIET);
    let (user, system) = server.processor_time();
    let spent = user + system - idle.0 - idle.1;
    let (first, last) = all_told(&server, &mut waiting);
    println!("{BLOCKED} blocked queries\n");
    println!(
        "own memory: {each} bytes each; processor time in {QUIET:?} without a change: {spent:?}"
    );
    println!("one change: the first is answered after {first:.1?}, the last after {last:.1?}\n");
}

/// How soon all event streams are told of one change.
pub(crate) fn streams() {
    let server = Server::discovery();
    server.register(10);
    let mut streams: Vec<TcpStream> = (0..STREAMS)
        .map(|_| {
            request(
                &server,
                "/api/watch?type=hive",
                "Accept: text/event-stream\r\n",
            )
        })
        .collect();
    for stream in &mut streams {
        read_until(stream, b"\n\n", 2);
    }
    settle(&server);
    let mut last: Vec<Duration> = (0..20).map(|_| all_told(&server, &mut streams).1).collect();
    last.sort();
    println!("{STREAMS} event streams\n");
    let (median, worst) = (last[last.len() / 2], last[last.len() - 1]);
    println!(
        "one change: all are told after {median:.1?} in the median, worst of 20 {worst:.1?}\n"
    );
}

/// Makes one change; when the first and when the last of the streams has got something.
fn all_told(server: &Server, streams: &mut [TcpStream]) -> (Duration, Duration) {
    for stream in &mut *streams {
        stream.set_nonblocking(true).expect("an option");
    }
    let begun = Instant::now();
    server.line("register hive 10.0.1.1 8080\n");
    let mut waiting: Vec<usize> = (0..streams.len()).collect();
    let mut first = None;
    let mut buffer = [0; 64 * 1024];
    while !waiting.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "all are told");
        waiting.retain(|&number| match streams[number].read(&mut buffer) {
            Ok(0) => panic!("the server closed a connection"),
            Ok(_) => {
                first.get_or_insert_with(|| begun.elapsed());
                false
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Err(error) => panic!("the connection broke: {error}"),
        });
    }
    (first.expect("there are some"), begun.elapsed())
}

fn request(server: &Server, target: &str, headers: &str) -> TcpStream {
    let mut stream = server.connect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}

/// The head of the answer.
fn ask(server: &Server, target: &str, headers: &str) -> String {
    let mut stream = request(server, target, headers);
    let head = read_until(&mut stream, b"\r\n\r\n", 1);
    String::from_utf8_lossy(&head).into_owned()
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.strip_prefix(": "))
        .unwrap_or_else(|| panic!("{name} in {head}"))
}

/// Reads until `end` has come so many times.
fn read_until(stream: &mut TcpStream, end: &[u8], times: usize) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while read
        .windows(end.len())
        .filter(|&bytes| bytes == end)
        .count()
        < times
    {
        let n = stream.read(&mut buffer).expect("it answers");
        assert!(n > 0, "the server closed a connection");
        read.extend_from_slice(&buffer[..n]);
    }
    read
}

/// Waits until the server has answered a request that came after all others.
fn settle(server: &Server) {
    server.line("ping\n");
    std::thread::sleep(Duration::from_millis(500));
}
