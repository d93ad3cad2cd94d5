//! Registrations expire without heartbeats. Here the real clock drives the real binary; `tests/random/registry.rs`
//! tests the exact boundaries with injected time.

use std::time::{Duration, Instant};

use crate::common::{Service, wait_until};

#[test]
fn a_registration_expires_after_its_ttl_whether_or_not_a_tick_has_run() {
    for tick in ["10", "60000"] {
        let service = Service::start(&["--ttl", "1", "--tick", tick]);
        let mut client = service.connect();
        let begun = Instant::now();
        let uuid = client.register("hive", "10.0.0.1", 1);
        assert_eq!(client.ask("query hive"), r#"[{"ip":"10.0.0.1","port":1}]"#);
        wait_until("it expires", || {
            (client.ask("query hive") == "[]").then_some(())
        });
        assert!(
            begun.elapsed() >= Duration::from_millis(999),
            "expired after {:?}",
            begun.elapsed()
        );
        assert_eq!(
            client.ask(&format!("heartbeat {uuid}")),
            "NOT FOUND",
            "tick {tick}"
        );
    }
}

#[test]
fn heartbeats_keep_their_own_registration_alive_and_no_other() {
    let service = Service::start(&["--ttl", "1", "--tick", "50"]);
    let mut client = service.connect();
    let alive = client.register("hive", "10.0.0.1", 1);
    client.register("hive", "10.0.0.1", 2);
    let begun = Instant::now();
    wait_until("the silent one expires", || {
        assert_eq!(client.ask(&format!("heartbeat {alive}")), "OK");
        (client.ask("query hive") == r#"[{"ip":"10.0.0.1","port":1}]"#).then_some(())
    });
    while begun.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(client.ask(&format!("heartbeat {alive}")), "OK");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.ask("query hive"), r#"[{"ip":"10.0.0.1","port":1}]"#);
}

/// How long after its TTL a registration may still show: the test measures the time a little before the service
/// reads its clock.
const LATE: Duration = Duration::from_millis(100);

#[test]
fn an_expired_registration_is_neither_shown_nor_renewed_before_a_tick_removes_it() {
    let service = Service::start(&["--ttl", "1", "--tick", "60000"]);
    let mut client = service.connect();
    let untouched = client.register("untouched", "10.0.0.1", 1);
    client.register("hive", "10.0.0.1", 2);
    let registered = Instant::now();
    wait_until("it expires", || {
        let asked = registered.elapsed();
        let gone = client.ask("query hive") == "[]";
        assert!(
            gone || asked < Duration::from_secs(1) + LATE,
            "alive at the age of {asked:?}"
        );
        gone.then_some(())
    });
    assert_eq!(
        client.ask(&format!("heartbeat {untouched}")),
        "NOT FOUND",
        "it is the older one"
    );
}

#[test]
fn a_full_registry_has_room_as_soon_as_a_registration_expires() {
    let service = Service::start(&["--ttl", "1", "--tick", "60000", "--max-services", "1"]);
    let mut client = service.connect();
    let begun = Instant::now();
    let first = client.register("hive", "10.0.0.1", 1);
    let registered = Instant::now();
    wait_until("there is room", || {
        let asked = registered.elapsed();
        let answer = client.ask("register hive 10.0.0.1 2");
        let full = answer == "ERROR registry full";
        assert!(
            !full || asked < Duration::from_secs(1) + LATE,
            "full at the age of {asked:?}"
        );
        assert!(
            full || begun.elapsed() >= Duration::from_millis(999),
            "{answer} displaced a live registration"
        );
        (!full).then_some(())
    });
    assert_eq!(client.ask("query hive"), r#"[{"ip":"10.0.0.1","port":2}]"#);
    assert_eq!(client.ask(&format!("heartbeat {first}")), "NOT FOUND");
}

/// How often the process has gone to sleep by itself; each wake-up of an idle loop adds one.
#[cfg(target_os = "linux")]
fn wake_ups(service: &Service) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", service.pid())).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("voluntary_ctxt_switches"))
        .expect("a line");
    line.split_ascii_whitespace()
        .nth(1)
        .expect("a value")
        .parse()
        .expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn an_empty_registry_sleeps_and_one_with_registrations_wakes_once_a_tick() {
    let service = Service::start(&["--ttl", "1", "--tick", "100"]);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 1);
    drop(client);
    let before = wake_ups(&service);
    std::thread::sleep(Duration::from_millis(500));
    let ticks = wake_ups(&service) - before;
    assert!((2..=8).contains(&ticks), "{ticks} wake-ups in five ticks");
    // A tick removes the expired registration; then there is nothing to wake for.
    wait_until("it sleeps", || {
        let before = wake_ups(&service);
        std::thread::sleep(Duration::from_millis(400));
        (wake_ups(&service) == before).then_some(())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn row_30_a_stopped_process_loses_no_registration_and_waiting_heartbeats_count_first() {
    // The pause is twice the TTL, as 40 s are against 30 s and more.
    let service = Service::start(&["--ttl", "2"]);
    let mut client = service.connect();
    let uuids: Vec<String> = (1..=100)
        .map(|port| client.register("hive", "10.0.0.1", port))
        .collect();
    service.signal("STOP");
    std::thread::sleep(Duration::from_secs(4));
    let mut late = service.connect();
    for uuid in &uuids {
        late.send(format!("heartbeat {uuid}\n"));
    }
    // Connections that are not accepted yet wait too.
    let frames: Vec<_> = uuids
        .iter()
        .map(|uuid| {
            let mut client = service.connect();
            client.send(crate::common::frame(&format!(
                r#"{{"action": "heartbeat", "uuid": "{uuid}"}}"#
            )));
            client
        })
        .collect();
    service.signal("CONT");
    for _ in &uuids {
        assert_eq!(late.line(), "OK");
    }
    for mut client in frames {
        assert_eq!(crate::common::Frame::parse(&client.rest()).content, "OK");
    }
    let answer = client.ask("query hive");
    assert_eq!(answer.matches("port").count(), 100, "nothing live is lost");
    wait_until("the stall is logged", || {
        service.log().contains("stalled for").then_some(())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn row_28_an_interrupted_poll_goes_on() {
    let service = Service::start(&["--ttl", "1", "--tick", "50"]);
    let mut client = service.connect();
    client.register("hive", "10.0.0.1", 1);
    // On Linux a stop and a continue interrupt epoll_wait with EINTR (signal(7)).
    for _ in 0..100 {
        service.signal("STOP");
        service.signal("CONT");
    }
    wait_until("the ticks go on", || {
        (client.ask("query hive") == "[]").then_some(())
    });
}

#[test]
fn the_worst_turn_that_stats_shows_does_not_contain_the_sleep_before_it() {
    let service = Service::start(&[]);
    // The client connects before the sleep: without registrations the service then sleeps until it is woken.
    let mut client = service.connect();
    assert_eq!(client.ask("ping"), "PONG");
    std::thread::sleep(Duration::from_secs(2));
    // On Linux a stop and a continue interrupt epoll_wait with EINTR (signal(7)).
    service.signal("STOP");
    service.signal("CONT");
    let stats: serde_json::Value = serde_json::from_str(&client.ask("stats")).expect("JSON");
    let worst_turn_us = stats["worst_turn_us"].as_u64().expect("a number");
    assert!(worst_turn_us > 0 && worst_turn_us < 1_000_000, "{stats}");
}

#[test]
fn row_30_a_heartbeat_that_waited_in_a_pause_of_less_than_two_ticks_counts_first() {
    let service = Service::start(&["--ttl", "1"]);
    let mut client = service.connect();
    let uuid = client.register("hive", "10.0.0.1", 1);
    service.signal("STOP");
    // The pauses are the promise: the heartbeat comes in time, and the service goes on too late.
    std::thread::sleep(Duration::from_millis(400));
    client.send(format!("heartbeat {uuid}\n"));
    std::thread::sleep(Duration::from_millis(1_200));
    service.signal("CONT");
    assert_eq!(client.line(), "OK");
    assert_eq!(client.ask("query hive"), r#"[{"ip":"10.0.0.1","port":1}]"#);
}
