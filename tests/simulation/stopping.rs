//! What clients get of a service that was told to stop.

use std::time::Duration;

use crate::rig::Rig;

/// Takes turns at the present time, and reads for the client.
fn read_to_the_end(rig: &mut Rig, client: usize) -> String {
    let mut answers = String::new();
    for _ in 0..200 {
        rig.turn();
        answers += &rig.received(client);
    }
    answers
}

#[test]
fn a_long_answer_is_sent_whole_although_its_client_has_ended_its_input() {
    const SERVICES: usize = 3_000;
    for question in ["list\n", "list"] {
        let mut rig = Rig::new();
        let client = rig.connect();
        rig.net.pipes[client].room = usize::MAX;
        for _ in 0..3 {
            rig.ask(client, &"register hive 10.0.0.1 80\n".repeat(SERVICES / 3));
        }
        rig.net.pipes[client].client_ended = true;
        rig.send(client, question.as_bytes());
        rig.engine.stop(&mut rig.net);
        let answer = read_to_the_end(&mut rig, client);
        assert_eq!(answer.matches("\"ip\":").count(), SERVICES, "{question:?}");
        assert!(answer.ends_with("]\n"), "{question:?}");
        assert!(rig.is_closed(client), "{question:?}");
    }
}

#[test]
fn a_watch_that_arrives_when_the_service_stops_does_not_keep_it() {
    for question in ["watch\n", "watch"] {
        let mut rig = Rig::new();
        let client = rig.connect();
        rig.ask(client, "register hive 10.0.0.1 80");
        rig.net.pipes[client].client_ended = !question.ends_with('\n');
        rig.send(client, question.as_bytes());
        rig.engine.stop(&mut rig.net);
        assert_eq!(read_to_the_end(&mut rig, client), "", "{question:?}");
        let pipe = &rig.net.pipes[client];
        assert!(pipe.shut || pipe.closed, "{question:?}");
        assert_ne!(rig.wait, Some(Duration::ZERO), "{question:?}");
        rig.net.pipes[client].client_ended = true;
        rig.net.deliver(client, 0);
        rig.settle();
        assert!(rig.engine.is_stopped(), "{question:?}");
    }
}
