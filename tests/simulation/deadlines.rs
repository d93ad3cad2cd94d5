//! Several time limits that run at the same time.

use discovery_service::limits::{LINE_MS_MAX, OUTPUT_STALL_MS_MAX};

use crate::rig::Rig;

#[test]
fn a_connection_that_runs_into_several_limits_is_ended_by_the_first() {
    let mut rig = Rig::new();
    let client = rig.connect();
    rig.net.pipes[client].room = 8;
    rig.net.pipes[client].window = 8;
    // The last command is not complete, which has a minute; the answers are not read, which has 10 s.
    rig.send(client, &[&b"ping\n".repeat(20)[..], b"pin"].concat());
    rig.turn();
    rig.pass(OUTPUT_STALL_MS_MAX - 1);
    assert!(!rig.is_closed(client));
    rig.pass(1);
    assert!(rig.is_closed(client));
    assert!(rig.net.pipes[client].cut_off);
}

#[test]
fn each_command_has_its_time_from_its_own_first_byte() {
    let mut rig = Rig::new();
    let client = rig.connect();
    rig.send(client, b"pi");
    rig.turn();
    for _ in 0..5 {
        rig.pass(LINE_MS_MAX - 1);
        rig.send(client, b"ng\npi");
        rig.turn();
        assert_eq!(rig.received(client), "PONG\n");
    }
    rig.pass(LINE_MS_MAX);
    assert!(rig.received(client).starts_with("ERROR"));
}
