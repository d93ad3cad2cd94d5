//! What the kernel keeps for a connection.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::common::{Client, Service, wait_until};

/// Bytes that the kernel keeps of one side of a connection, overhead included.
const BUFFER_LEN_MAX: u64 = 256 * 1024;

/// The service's side of `peer` in the kernel's table: its state, and the bytes in its send and receive
/// queue (proc_net_tcp in the kernel's documentation).
fn kept_for(service: &Service, peer: &TcpStream) -> Option<(String, u64, u64)> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let port = |port: u16| format!(":{port:04X}");
    let local = port(service.address().port());
    let remote = port(peer.local_addr().expect("it is connected").port());
    let mut lines = table
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line[1].ends_with(&local) && line[2].ends_with(&remote))?;
    let (sending, received) = line[4].split_once(':').expect("two queues");
    let len = |queue: &str| u64::from_str_radix(queue, 16).expect("a number");
    Some((line[3].to_owned(), len(sending), len(received)))
}

/// A peer that asks for more than all buffers hold and for more and more if it `floods`. It reads
/// nothing.
fn deaf(service: &Service, floods: bool) -> TcpStream {
    let mut client = service.connect();
    client.register_many(1_000);
    let peer = Client::connect(service.address());
    let mut peer = peer.stream().try_clone().expect("a second handle");
    peer.set_nonblocking(true).expect("an option");
    // The service takes all of these from its socket: otherwise the kernel resets it by itself.
    let queries = "query hive\n".repeat(100);
    peer.write_all(queries.as_bytes()).expect("they fit");
    wait_until("answers wait for it in the kernel", || {
        while floods && peer.write(queries.as_bytes()).is_ok() {}
        kept_for(service, &peer).filter(|&(_, sending, _)| sending > 0)
    });
    peer
}

/// Reads until the connection ends; whether it was reset.
fn is_reset(mut peer: TcpStream) -> bool {
    let mut buffer = [0; 64 * 1024];
    loop {
        match peer.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("the connection is still there")
            }
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn row_03_the_kernel_keeps_256_kib_each_way_for_a_peer_that_never_reads_and_nothing_after_its_reset()
 {
    let service = Service::start(&["--ttl", "600"]);
    let (flood, peer) = (deaf(&service, true), deaf(&service, false));
    let (mut sending_max, mut received_max) = (0, 0);
    // The service gives them up after 10 s.
    wait_until("the kernel has forgotten them", || {
        let kept = [&flood, &peer].map(|peer| kept_for(&service, peer));
        for (state, sending, received) in kept.iter().flatten() {
            assert_eq!(state, "01", "established until it is gone");
            sending_max = sending_max.max(*sending);
            received_max = received_max.max(*received);
        }
        kept.iter().all(Option::is_none).then_some(())
    });
    println!("{sending_max} bytes to send, {received_max} bytes received");
    assert!((1..=BUFFER_LEN_MAX).contains(&sending_max));
    assert!((1..=BUFFER_LEN_MAX).contains(&received_max));
    for peer in [flood, peer] {
        assert!(is_reset(peer), "what it was sent must not look whole");
    }
    let stats = service.connect().ask("stats");
    assert!(stats.contains(r#""unread":2,"#), "{stats}");
}

#[test]
fn row_03_what_a_watcher_has_not_read_waits_shared_in_the_service_and_not_copied_in_the_kernel() {
    let service = Service::start(&["--ttl", "600"]);
    let peer = Client::connect(service.address());
    let mut peer = peer.stream().try_clone().expect("a second handle");
    let socket = socket2::SockRef::from(&peer);
    socket.set_recv_buffer_size(4096).expect("an option");
    peer.write_all(b"watch\n").expect("it fits");
    wait_until("it watches", || {
        let stats = service.connect().ask("stats");
        stats.contains(r#""watchers":1,"#).then_some(())
    });
    let mut client = service.connect();
    // 300 KiB of changes, of which the service keeps 64 KiB for it.
    for _ in 0..30 {
        client.register_many(100);
    }
    let (_, sending, _) = kept_for(&service, &peer).expect("it still watches");
    println!("{sending} bytes to send");
    assert!((1..=96 * 1024).contains(&sending), "{sending} bytes");
}

#[test]
fn row_39_at_the_end_of_the_process_who_is_owed_answers_is_reset_and_the_kernel_keeps_nothing() {
    let mut service = Service::start(&["--ttl", "600"]);
    let mut polite = service.connect();
    polite.send("ping\n");
    let peer = deaf(&service, false);
    service.signal("TERM");
    assert!(service.wait().success());
    assert_eq!(kept_for(&service, &peer), None);
    assert!(is_reset(peer));
    assert_eq!(
        polite.text(),
        "PONG\n",
        "who was sent everything sees the end"
    );
}
