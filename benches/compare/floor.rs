//! The floor: the cost of the same loop when it only echoes what it reads, answers once, or tells all.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// What the service tells a watcher when a service of the bench has registered, but for the digits.
const CHANGE: &[u8] =
    b"{\"index\":1795883317058552,\"up\":[{\"id\":\"fbef34bfe75ce468\",\"type\":\"hive\",\
    \"ip\":\"10.0.0.1\",\"port\":12}],\"down\":[]}\n";

/// Runs the server named `kind` on a free port of loopback, until it is killed.
pub(crate) fn run(kind: &str) -> ! {
    let address = "127.0.0.1:0".parse().expect("an address");
    let mut listener = TcpListener::bind(address).expect("loopback can be bound");
    println!(
        "listening on {}",
        listener.local_addr().expect("it is bound")
    );
    let mut poll = Poll::new().expect("a poll");
    poll.registry()
        .register(&mut listener, Token(usize::MAX), Interest::READABLE)
        .expect("a listener");
    let mut events = Events::with_capacity(1024);
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None).expect("poll");
        for event in &events {
            if event.token() == Token(usize::MAX) {
                while let Ok((stream, _)) = listener.accept() {
                    match kind {
                        "echo" | "tell" => watch(&poll, &mut streams, stream),
                        "answer" => drop(answer(stream, &mut buffer)),
                        _ => end_in_stages(answer(stream, &mut buffer), &mut buffer),
                    }
                }
            } else if kind == "tell" {
                tell(&mut streams, event.token().0, &mut buffer);
            } else if let Some(stream) = &mut streams[event.token().0]
                && !echo(stream, &mut buffer)
            {
                streams[event.token().0] = None;
            }
        }
    }
}

fn watch(poll: &Poll, streams: &mut Vec<Option<TcpStream>>, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    poll.registry()
        .register(&mut stream, Token(streams.len()), Interest::READABLE)
        .expect("a stream");
    streams.push(Some(stream));
}

/// Writes back what has arrived. The load never has more under way than fits into the buffers of
/// both ends, so what is read can be written. `false` when the connection is over.
fn echo(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return false,
            Ok(n) => {
                if stream.write_all(&buffer[..n]).is_err() {
                    return false;
                }
                if n < buffer.len() {
                    return true;
                }
            }
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Answers a watcher with a snapshot of nothing, and writes what a change is told with to all others when
/// anything else has arrived.
fn tell(streams: &mut [Option<TcpStream>], from: usize, buffer: &mut [u8]) {
    let Some(stream) = &mut streams[from] else {
        return;
    };
    let n = stream.read(buffer).unwrap_or(0);
    if buffer[..n].starts_with(b"watch") {
        let _ = stream.write_all(b"{\"services\":[]}\n");
    } else if n > 0 {
        for stream in streams.iter_mut().flatten() {
            let _ = stream.write_all(CHANGE);
        }
    }
}

/// Reads once and writes a fixed answer.
fn answer(stream: TcpStream, buffer: &mut [u8]) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::from(stream);
    let _ = stream.set_nonblocking(false);
    if stream.read(buffer).is_ok_and(|n| n > 0) {
        let _ = stream.write_all(&[b'x'; 600]);
    }
    stream
}

/// Closes when the peer has ended its input, so that what it still sends does not take the answer away.
fn end_in_stages(mut stream: std::net::TcpStream, buffer: &mut [u8]) {
    let _ = stream.shutdown(Shutdown::Write);
    while stream.read(buffer).is_ok_and(|n| n > 0) {}
}
