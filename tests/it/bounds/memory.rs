//! What connections and pending output cost in memory.

use std::io::Write;
use std::net::TcpStream;

use crate::common::{Client, Service, wait_until};

#[test]
fn row_03_a_thousand_peers_that_never_read_cost_no_more_than_their_buffers() {
    const PEERS: u64 = 1_000;
    const COST_KB_MAX: u64 = 80;
    let service = Service::start(&["--ttl", "60"]);
    let mut witness = service.connect();
    for port in 1..=30 {
        witness.register("hive", "10.0.0.1", port);
    }
    let expected = witness.ask("query hive");
    let before = service.status_kb("RssAnon");
    // More answers than the kernel's buffers and the service's bound hold together.
    let queries = "query hive\n".repeat(10_000);
    let mut peers: Vec<TcpStream> = Vec::new();
    for _ in 0..PEERS {
        let mut peer = service
            .connect()
            .stream()
            .try_clone()
            .expect("a second handle");
        socket2::SockRef::from(&peer)
            .set_recv_buffer_size(4096)
            .expect("an option");
        peer.set_nonblocking(true).expect("an option");
        let _ = peer.write(queries.as_bytes());
        peers.push(peer);
        if peers.len().is_multiple_of(100) {
            assert_eq!(witness.ask("query hive"), expected, "others are served");
        }
    }
    let each = (service.status_kb("RssAnon").saturating_sub(before)) / PEERS;
    println!("{each} kB for each peer that never reads");
    assert!(each <= COST_KB_MAX, "{each} kB each");
    assert_eq!(witness.ask("query hive"), expected);
    // Without progress they are closed after 10 s. Some have had to wait for room for their answers,
    // and have theirs when the others are closed.
    for left in [PEERS * 6 / 10, 20] {
        wait_until("they are closed", || {
            (service.open_files() < left as usize).then_some(())
        });
    }
    assert_eq!(witness.ask("query hive"), expected);
}

#[cfg(target_os = "linux")]
#[test]
fn row_18_readers_of_a_large_type_that_changes_all_the_time_keep_one_part_each() {
    const PART_KB: u64 = 64;
    let service = Service::start(&["--ttl", "600"]);
    let mut client = service.connect();
    // 40,000 registrations make an answer of 1.5 MB.
    for _ in 0..40 {
        client.register_many(1_000);
    }
    let before = service.status_kb("RssAnon");
    let open_before = service.open_files();
    // Each asks for more than the kernel's buffers take, and reads nothing.
    let reader = || {
        let mut reader = service.connect();
        socket2::SockRef::from(reader.stream())
            .set_recv_buffer_size(4096)
            .expect("an option");
        reader.send("query hive\n".repeat(5));
        reader
    };
    let mut readers: Vec<Client> = (0..60).map(|_| reader()).collect();
    assert_eq!(client.ask("query nobody"), "[]");
    // Now the type changes before each query.
    for _ in 0..90 {
        readers.push(reader());
        assert_eq!(client.ask("query nobody"), "[]", "others are served");
        client.register("hive", "10.0.0.2", 80);
    }
    let answer = service.connect().ask("query hive");
    assert!(
        answer.ends_with("}]"),
        "a client that reads gets a whole answer"
    );
    let waiting = service.status_kb("RssAnon").saturating_sub(before);
    println!("{waiting} kB wait for {} readers", readers.len());
    // One part each, and what the allocator has not returned.
    assert!(waiting < PART_KB * 150 + 4096, "{waiting} kB wait");
    wait_until("the client that has its answer has gone", || {
        (service.open_files() <= open_before + readers.len()).then_some(())
    });
    assert_eq!(
        service.open_files() - open_before,
        readers.len(),
        "none is closed: it is their turn when others have read"
    );
}

/// What the service may keep of its own memory after a flood: caches, and what the allocator keeps.
#[cfg(target_os = "linux")]
const KEPT_KB_MAX: u64 = 3 * 1024;

#[cfg(target_os = "linux")]
#[test]
fn what_holders_took_is_given_back_when_they_end() {
    const HOLDERS: usize = 160;
    const HOLDS: usize = 1_024;
    let service = Service::start(&[]);
    let mut witness = service.connect();
    assert_eq!(witness.ask("query hive"), "[]");
    let before = service.status_kb("RssAnon");
    let mut holders = Vec::new();
    for _ in 0..HOLDERS {
        let mut holder = service.connect();
        holder.send("hold hive 10.0.0.1 80\n".repeat(HOLDS));
        (0..HOLDS).for_each(|_| assert_eq!(holder.line().len(), 36));
        holders.push(holder);
    }
    // Who comes during the flood and stays keeps only its own.
    let uuid = witness.ask("hold queen 10.0.0.2 80");
    let taken = service.status_kb("RssAnon") - before;
    assert!(taken > 4 * KEPT_KB_MAX, "{taken} kB show nothing");
    drop(holders);
    wait_until("memory is given back", || {
        (service.status_kb("RssAnon") < before + KEPT_KB_MAX).then_some(())
    });
    assert_eq!(witness.ask("query hive"), "[]");
    assert_eq!(witness.ask(&format!("heartbeat {uuid}")), "OK");
}

#[cfg(target_os = "linux")]
#[test]
fn row_32_what_a_flood_and_the_index_for_replace_took_is_given_back() {
    const SERVICES: usize = 200;
    const INDEX_LEN_MAX: u64 = 24;
    let service = Service::start(&["--ttl", "600"]);
    let mut flood = service.connect();
    assert_eq!(flood.ask("query hive"), "[]");
    let before = service.status_kb("RssAnon");
    let mut uuids = Vec::new();
    for _ in 0..SERVICES {
        flood.send("register hive 10.0.0.1 80\n".repeat(1_000));
        uuids.extend((0..1_000).map(|_| flood.line()));
    }
    let full = service.status_kb("RssAnon");
    let mut late = service.connect();
    let uuid = late.ask("register queen 10.0.0.2 80 replace");
    let index = (service.status_kb("RssAnon").saturating_sub(full)) * 1024 / uuids.len() as u64;
    println!("{index} bytes of the index for each registration");
    assert!(index <= INDEX_LEN_MAX, "{index} bytes each");
    assert!(full > before + 3 * KEPT_KB_MAX, "{full} kB show nothing");
    for some in uuids.chunks(1_000) {
        let commands: Vec<String> = some
            .iter()
            .map(|uuid| format!("deregister {uuid}\n"))
            .collect();
        flood.send(commands.concat());
        some.iter().for_each(|_| assert_eq!(flood.line(), "OK"));
    }
    wait_until("memory is given back", || {
        (service.status_kb("RssAnon") < before + KEPT_KB_MAX).then_some(())
    });
    assert_eq!(late.ask(&format!("heartbeat {uuid}")), "OK");
}

#[cfg(target_os = "linux")]
#[test]
fn row_43_ten_thousand_idle_connections_cost_at_most_512_bytes_each() {
    const CONNECTIONS: u64 = 10_000;
    raise_descriptor_limit();
    let service = Service::start(&["--max-connections", "20000"]);
    let before = service.status_kb("RssAnon");
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = service.connect();
        client.send("query hive\n");
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.line(), "[]");
    }
    let each = (service.status_kb("RssAnon") - before) * 1024 / CONNECTIONS;
    println!("{each} bytes for each idle connection");
    assert!(each <= 512, "{each} bytes each");
}

/// The test itself holds the other end of all these connections.
#[cfg(target_os = "linux")]
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .expect("the soft limit can be raised");
    assert!(
        maximum.is_none_or(|maximum| maximum >= 12_000),
        "the hard limit on open files is {maximum:?}"
    );
}
