//! Every bound of the service, and what happens at it. Some tests limit the process with prlimit(2), on Linux
//! only.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Client, Frame, Service, ask_frame, command, wait_until};

#[test]
fn row_38_a_full_registry_refuses_keeps_what_is_live_and_has_room_again_later() {
    let max: usize = 20_000;
    // On a slow machine all this takes its time, so that nothing may expire meanwhile.
    let service = Service::start(&["--ttl", "86400", "--max-services", &max.to_string()]);
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
    assert_eq!(refused, 9 * max);
    let answer = ask_frame(
        service.address(),
        r#"{"action": "register", "type": "a", "ip": "10.0.0.1", "port": 1}"#,
    );
    assert_eq!(answer.header["error"], "registry full");
    let kept = client.ask(&format!("heartbeat {first}"));
    assert_eq!(kept, "OK", "what lives stays");
    assert_eq!(client.ask(&format!("deregister {first}")), "OK");
    let next = client.ask("register hive 10.0.0.1 1 ttl=1");
    assert!(crate::common::is_uuid(&next), "{next}");
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
fn row_01_a_frame_that_is_not_complete_10_s_after_its_first_byte_is_told_so_and_ends_the_connection()
 {
    let service = Service::start(&[]);
    let mut patient = service.connect();
    assert_eq!(patient.ask("query hive"), "[]");
    let mut typed = service.connect();
    let mut frame = service.connect();
    let begun = Instant::now();
    typed.send("que");
    frame.send([0]);
    std::thread::sleep(Duration::from_secs(5));
    frame.send([100]);
    let answer = Frame::parse(&frame.rest());
    let after = begun.elapsed();
    assert_eq!(answer.content, "ERROR");
    assert_eq!(
        answer.header["error"],
        "the frame is not complete 10 s after its first byte"
    );
    assert!(
        (Duration::from_millis(9_900)..Duration::from_secs(13)).contains(&after),
        "closed after {after:?}"
    );
    assert_eq!(
        typed.ask("ry hive"),
        "[]",
        "who types a command has more time"
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

#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_memory_that_max_services_does_not_fit_under_is_warned_of_at_start() {
    let start = |services_max: &str| {
        let service = command();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", r#"ulimit -v 80000; exec "$0" "$@""#]);
        shell.arg(service.get_program());
        shell.args(["--listen", "127.0.0.1:0", "--max-services", services_max]);
        let mut service = Service::spawn(shell);
        service.signal("TERM");
        service.whole_log()
    };
    let warning = "1000000 registrations and their answers can take 227 MiB, but the limit on memory is \
                   78 MiB: lower --max-services";
    let log = start("1000000");
    assert!(log.contains(warning), "{log}");
    let log = start("1000");
    assert!(!log.contains("the limit on memory"), "{log}");
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
    // 64 are left for the refused, 16 for files and the like, and one is the listener's.
    const FIT: usize = 200 - 64 - 16 - 1;
    wait_until("it says so", || {
        let log = service.log();
        let warned = log.contains("only 119 of 10000 connections fit under the limit of 200");
        (warned && log.contains(" max-connections=119 ")).then_some(())
    });
    let mut clients: Vec<Client> = (0..FIT).map(|_| service.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("query hive"), "[]");
    }
    // Whoever comes then is told why, instead of waiting for a descriptor.
    let mut refused: Vec<Client> = (0..64).map(|_| service.connect()).collect();
    for client in &mut refused {
        assert_eq!(client.line(), "ERROR too many connections");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn row_02_every_connection_has_tcp_keepalive() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    assert_eq!(client.ask("query hive"), "[]");
    // The sixth field of a line has the kind of timer that is active, 02 for keepalive, and when it goes
    // off, in hundredths of a second (proc_net_tcp in the kernel's documentation).
    let keepalive = |timer: &str| {
        let hundredths = timer.strip_prefix("02:");
        hundredths.and_then(|when| u64::from_str_radix(when, 16).ok())
    };
    let local = format!(":{:04X}", service.address().port());
    let hundredths = wait_until("the keepalive timer runs", || {
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
        served.next().and_then(|line| keepalive(&line[5]))
    });
    assert!(
        hundredths <= 1_500,
        "in {hundredths} hundredths of a second"
    );
}
