//! Every bound of the service: what happens at it, and what it costs. Some tests limit the process with
//! prlimit(2), on Linux only.

use std::fs;
use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{
    Client, PATIENCE, Service, ask_frame, command, finish, path, private_file, wait_until,
};

#[test]
fn row_38_a_full_registry_refuses_keeps_what_is_live_and_has_room_again_later() {
    let max: usize = 20_000;
    let service = Service::start(&["--ttl", "2", "--max-services", &max.to_string()]);
    let mut client = service.connect();
    let mut sender = client.stream().try_clone().expect("a second handle");
    // Ten times as many as fit.
    let sending = std::thread::spawn(move || {
        for i in 0..10 * max {
            let command = format!("register hive 10.0.0.1 {}\n", i % 60_000 + 1);
            sender
                .write_all(command.as_bytes())
                .expect("the service reads");
        }
    });
    let first = client.line();
    assert!(crate::common::is_uuid(&first), "{first}");
    let refused = (1..10 * max)
        .filter(|_| client.line() == "ERROR registry full")
        .count();
    sending.join().expect("all was sent");
    assert!(refused >= 8 * max, "{refused} were refused");
    let answer = ask_frame(
        service.address(),
        r#"{"action": "register", "type": "a", "ip": "10.0.0.1", "port": 1}"#,
    );
    if refused == 9 * max {
        assert_eq!(
            client.ask(&format!("heartbeat {first}")),
            "OK",
            "what lives stays"
        );
        assert_eq!(answer.header["error"], "registry full");
    }
    wait_until("there is room again", || {
        crate::common::is_uuid(&client.ask("register hive 10.0.0.1 1")).then_some(())
    });
}

#[test]
fn row_25_the_connection_over_the_limit_gets_one_line_and_the_slot_is_reused() {
    let service = Service::start(&["--max-connections", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| service.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("query hive"), "[]");
    }
    // More than the service lets linger; some write before they are refused.
    for i in 0..300 {
        let mut refused = service.connect();
        if i % 2 == 0 {
            refused.try_send("register late 10.0.0.1 1\n");
            refused.wait_for_close();
        } else {
            assert_eq!(
                refused.text(),
                "ERROR too many connections\n",
                "connection {i}"
            );
        }
    }
    assert_eq!(
        clients[0].ask("query late"),
        "[]",
        "nothing of a refused connection is run"
    );
    clients.pop();
    wait_until("a place is free", || {
        let mut client = service.connect();
        client.try_send("query hive\n");
        (client.line() == "[]").then_some(())
    });
}

#[test]
fn row_25_a_slot_is_reused_however_its_connection_ends() {
    let service = Service::start(&["--max-connections", "1"]);
    let admitted = || {
        wait_until("a place is free", || {
            let mut client = service.connect();
            client.try_send("query hive\n");
            (client.line() == "[]").then_some(client)
        })
    };
    // Peers that keep their side open occupy no slot, whether they were refused or served.
    let mut open = Vec::new();
    for _ in 0..5 {
        drop(admitted());
        admitted().reset();

        let mut half_closed = admitted();
        half_closed.end_input();
        assert_eq!(half_closed.text(), "");
        open.push(half_closed);

        let _served = admitted();
        let mut refused = service.connect();
        assert_eq!(refused.text(), "ERROR too many connections\n");
        open.push(refused);
    }
    let mut fatal = admitted();
    fatal.send("x".repeat(2_000));
    assert_eq!(fatal.text(), "ERROR line too long\n");
    open.push(fatal);
    admitted();
}

#[test]
fn a_refused_connection_that_has_written_still_reads_its_line() {
    let service = Service::start(&["--max-connections", "1"]);
    let mut first = service.connect();
    assert_eq!(first.ask("query hive"), "[]");
    let mut refused = service.connect();
    refused.try_send("query hive\n");
    assert_eq!(refused.text(), "ERROR too many connections\n");
}

#[test]
fn row_01_a_connection_ends_10_s_after_the_first_byte_of_an_incomplete_command() {
    let service = Service::start(&[]);
    let mut patient = service.connect();
    assert_eq!(patient.ask("query hive"), "[]");
    let mut slow = service.connect();
    let mut frame = service.connect();
    let begun = Instant::now();
    slow.send("que");
    frame.send([0]);
    std::thread::sleep(Duration::from_secs(5));
    slow.send("r");
    slow.wait_for_close();
    frame.wait_for_close();
    let after = begun.elapsed();
    assert!(
        (Duration::from_millis(9_900)..Duration::from_secs(13)).contains(&after),
        "closed after {after:?}"
    );
    assert_eq!(
        patient.ask("query hive"),
        "[]",
        "the limit does not apply between commands"
    );
}

#[test]
fn row_02_the_idle_timeout_counts_from_the_last_completed_command() {
    let service = Service::start(&["--idle-timeout", "1"]);
    let mut busy = service.connect();
    let mut idle = service.connect();
    let mut trickling = service.connect();
    let begun = Instant::now();
    let mut closed = false;
    while begun.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(busy.ask("query hive"), "[]");
        // Neither bytes nor empty lines count as commands.
        closed |= !trickling.try_send("\n");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(closed, "a trickle of bytes keeps no connection open");
    idle.wait_for_close();

    let service = Service::start(&["--idle-timeout", "0"]);
    let mut idle = service.connect();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(idle.ask("query hive"), "[]", "0 turns it off");
}

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
    // Without progress they are closed after 10 s.
    wait_until("they are closed", || {
        (service.open_files() < 20).then_some(())
    });
    assert_eq!(witness.ask("query hive"), expected);
}

#[test]
fn a_peer_that_reads_late_gets_every_answer_in_order() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    for port in 1..=500 {
        client.register("hive", "10.0.0.1", port);
    }
    let array = client.ask("query hive");
    let commands = 2_000;
    let mut sender = client.stream().try_clone().expect("a second handle");
    let sending = std::thread::spawn(move || {
        sender
            .write_all("query hive\nheartbeat x\n".repeat(commands).as_bytes())
            .expect("the service reads on");
    });
    std::thread::sleep(Duration::from_millis(500));
    for i in 0..commands {
        assert_eq!(client.line(), array, "answer {i}");
        assert_eq!(client.line(), "NOT FOUND", "answer {i}");
    }
    sending.join().expect("all was sent");
}

#[cfg(target_os = "linux")]
#[test]
fn row_18_readers_of_a_large_type_that_changes_all_the_time_stay_under_the_bound() {
    const WAITING_KB_MAX: u64 = 64 * 1024;
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
    let shared = service.status_kb("RssAnon").saturating_sub(before) / 1024;
    assert!(
        shared < 10,
        "60 readers of one answer of 1.5 MB hold {shared} MB"
    );
    // Now the type changes before each query, so that no answer is shared.
    for _ in 0..90 {
        readers.push(reader());
        assert_eq!(client.ask("query nobody"), "[]", "others are served");
        client.register("hive", "10.0.0.2", 80);
    }
    let begun = Instant::now();
    wait_until("the reader that has waited longest is closed", || {
        (service.open_files() < open_before + readers.len()).then_some(())
    });
    let waiting = service.status_kb("RssAnon").saturating_sub(before);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "by the bound, not because it made no progress for 10 s"
    );
    println!(
        "{waiting} kB wait for {} readers",
        service.open_files() - open_before
    );
    // The margin: the latest answer that is kept, and what the allocator has not returned.
    assert!(waiting < WAITING_KB_MAX + 16 * 1024, "{waiting} kB wait");
    assert!(
        service.connect().ask("query hive").ends_with("}]"),
        "a client that reads gets a whole answer"
    );
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

#[cfg(target_os = "linux")]
#[test]
fn row_21_without_free_descriptors_the_service_neither_spins_nor_stalls_and_accepts_again_soon() {
    let service = Service::start(&[]);
    let mut old = service.connect();
    assert_eq!(old.ask("query hive"), "[]");
    let open = service.open_files();
    limit_descriptors(&service, open as u64 + 2);
    let mut held: Vec<Client> = (0..2).map(|_| service.connect()).collect();
    for client in &mut held {
        assert_eq!(client.ask("query hive"), "[]");
    }
    // These wait in the backlog, for want of a descriptor.
    let mut waiting: Vec<Client> = (0..5).map(|_| service.connect()).collect();
    for client in &mut waiting {
        client.send("query hive\n");
    }
    let (begun, used) = (Instant::now(), service.processor_time());
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(old.ask("query hive"), "[]", "no stall");
        std::thread::sleep(Duration::from_millis(100));
    }
    let used = service.processor_time() - used;
    assert!(
        used <= Duration::from_millis(20),
        "{used:?} in 2 s: it spins"
    );
    assert_eq!(
        service.log().matches("cannot accept").count(),
        1,
        "the log does not flood: {}",
        service.log()
    );
    let begun = Instant::now();
    held.pop();
    assert_eq!(waiting[0].line(), "[]");
    assert!(
        begun.elapsed() < Duration::from_millis(100),
        "accepted after {:?}",
        begun.elapsed()
    );
    // A timer finds a descriptor that comes free without the service closing one.
    limit_descriptors(&service, open as u64 + 50);
    let begun = Instant::now();
    for client in &mut waiting[1..] {
        assert_eq!(client.line(), "[]");
    }
    assert!(
        begun.elapsed() < Duration::from_millis(100),
        "accepted after {:?}",
        begun.elapsed()
    );
}

/// Sets the soft limit on open files of a running service.
#[cfg(target_os = "linux")]
fn limit_descriptors(service: &Service, soft: u64) {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let pid = Pid::from_raw(service.pid() as i32).expect("it runs");
    // The service has inherited the hard limit of this process.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    prlimit(
        Some(pid),
        Resource::Nofile,
        Rlimit {
            current: Some(soft),
            maximum,
        },
    )
    .expect("it can be set");
}

#[test]
fn row_44_without_a_valid_token_no_command_is_run_and_no_token_is_logged() {
    let file = private_file("open-sesame\nsecond\n");
    let mut traced = command();
    traced
        .args(["--listen", "127.0.0.1:0", "--token-file", path(&file)])
        .env("RUST_LOG", "trace");
    let service = Service::spawn(traced);
    let mut stranger = service.connect();
    for question in [
        "query hive",
        "register hive 10.0.0.1 1",
        "bogus",
        "heartbeat",
    ] {
        assert_eq!(
            stranger.ask(question),
            "ERROR authentication required",
            "{question}"
        );
    }
    assert_eq!(stranger.ask("auth"), "ERROR authentication required");
    for token in ["open-sesam", "open-sesame2", "OPEN-SESAME", "wr0ng"] {
        let mut client = service.connect();
        client.send(format!("auth {token}\nquery hive\n"));
        assert_eq!(
            client.text(),
            "ERROR authentication failed\n",
            "closed, and no command after it is run"
        );
    }
    for token in ["open-sesame", "second"] {
        let mut client = service.connect();
        assert_eq!(client.ask(&format!("auth {token}")), "OK");
        assert_eq!(client.ask("query hive"), "[]");
    }
    let frame = |token: &str| {
        ask_frame(
            service.address(),
            &format!(r#"{{"action": "query", "type": "hive"{token}}}"#),
        )
    };
    assert_eq!(frame("").header["error"], "authentication required");
    assert_eq!(
        frame(r#", "token": "wr0ng""#).header["error"],
        "authentication failed"
    );
    assert_eq!(frame(r#", "token": "open-sesame""#).content, r#""[]""#);

    fs::write(&file, "new-word\n").expect("it is ours");
    service.signal("HUP");
    wait_until("the file is read again", || {
        (frame(r#", "token": "new-word""#).content == r#""[]""#).then_some(())
    });
    assert_eq!(
        frame(r#", "token": "open-sesame""#).header["error"],
        "authentication failed"
    );
    fs::write(&file, "\n").expect("it is ours");
    service.signal("HUP");
    wait_until("the bad file is refused", || {
        service.log().contains("the old tokens stay").then_some(())
    });
    assert_eq!(frame(r#", "token": "new-word""#).content, r#""[]""#);
    let log = service.log();
    for secret in ["open-sesame", "second", "wr0ng", "new-word"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn without_a_token_file_any_token_is_accepted() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    assert_eq!(client.ask("auth whatever"), "OK");
    assert_eq!(client.ask("auth"), "ERROR usage: auth <token>");
    let answer = ask_frame(
        service.address(),
        r#"{"action": "query", "type": "a", "token": "whatever"}"#,
    );
    assert_eq!(answer.content, r#""[]""#);
}

#[test]
fn row_45_a_token_file_that_cannot_be_used_is_refused_at_start_with_its_reason() {
    let empty = private_file("\n\n");
    let words = private_file("good\ntwo words\n");
    let folder = std::env::temp_dir();
    let cases = [
        ("/nonexistent/tokens", "No such file or directory"),
        (path(&empty), "it holds no token"),
        (
            path(&words),
            "line 2 holds white space or a control character",
        ),
        (
            folder.to_str().expect("a path in UTF-8"),
            "it is not a regular file",
        ),
    ];
    for (path, reason) in cases {
        let mut refused = command();
        refused.args(["--listen", "127.0.0.1:0", "--token-file", path]);
        let ended = finish(refused);
        assert_eq!(ended.status, Some(1), "{path}");
        assert_eq!(
            ended.stderr,
            format!("cannot use the token file {path}: {reason}\n")
        );
    }
    let open = private_file("secret\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let service = Service::start(&["--token-file", path(&open)]);
    wait_until("it warns", || {
        service
            .log()
            .contains("readable by everybody")
            .then_some(())
    });
    assert!(!service.log().contains("secret"));
}

#[test]
fn max_connections_is_lowered_to_fit_the_limit_on_open_files() {
    let script = format!(
        "ulimit -n 200 && exec {} --listen 127.0.0.1:0",
        env!("CARGO_BIN_EXE_discovery")
    );
    let mut limited = Command::new("sh");
    limited.args(["-c", &script]);
    let service = Service::spawn(limited);
    wait_until("it warns", || {
        service
            .log()
            .contains("connections fit under the limit of 200")
            .then_some(())
    });
    assert_eq!(service.connect().ask("query hive"), "[]");
    let address = service
        .address()
        .to_socket_addrs()
        .expect("one")
        .next()
        .expect("one");
    assert!(TcpStream::connect_timeout(&address, PATIENCE).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn row_02_every_connection_has_tcp_keepalive() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    assert_eq!(client.ask("query hive"), "[]");
    // The sixth field of a line begins with the kind of timer that is active, and 02 is keepalive
    // (proc_net_tcp in the kernel's documentation).
    let local = format!(":{:04X}", service.address().port());
    wait_until("the keepalive timer runs", || {
        let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
        let fields = |line: &str| {
            line.split_ascii_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let mut served = table
            .lines()
            .map(fields)
            .filter(|line| line[1].ends_with(&local) && line[3] == "01");
        served.next().filter(|line| line[5].starts_with("02:"))
    });
}
