//! Several time limits that run at the same time.

use discovery_service::limits::OUTPUT_STALL_MS_MAX;

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
