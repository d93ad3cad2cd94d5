//! What the removal of expired registrations costs a turn.

use discovery_service::limits::{REMOVAL_WORK, SWEPT_ALONE_MAX};

use crate::rig::Rig;

const TYPES: usize = 40;

/// A service of which each client has registered its own type, so many that a sweep of all takes some turns.
/// All expire after 1 s.
fn filled() -> (Rig, Vec<usize>) {
    let mut rig = Rig::new();
    let clients: Vec<usize> = (0..TYPES).map(|_| rig.connect()).collect();
    for (number, &client) in clients.iter().enumerate() {
        let line = format!("register type{number} 10.0.0.1 80 ttl=1\n");
        rig.ask(client, &line.repeat(SWEPT_ALONE_MAX / 2));
    }
    (rig, clients)
}

#[test]
fn every_removal_counts_in_the_work_of_its_turn() {
    let (mut rig, clients) = filled();
    // From here on the sweep is behind, and each question is about what has expired.
    rig.now_ms += 1_000;
    for (number, &client) in clients.iter().enumerate().rev() {
        rig.send(client, format!("query type{number}\n").as_bytes());
    }
    let registered = |rig: &Rig| rig.engine.handler().registry().len();
    let mut swept = 0;
    while registered(&rig) > 0 {
        let before = registered(&rig);
        rig.turn();
        let removed = before - registered(&rig);
        swept += removed;
        let spent = rig.engine.work_spent() as usize;
        assert!(spent >= removed * REMOVAL_WORK, "{removed} for {spent}");
    }
    assert!(swept >= TYPES * SWEPT_ALONE_MAX / 2, "{swept}");
}

#[test]
fn a_kept_answer_is_not_given_while_the_sweep_is_behind() {
    let (mut rig, clients) = filled();
    for (number, &client) in clients.iter().enumerate() {
        let kept = rig.ask(client, &format!("query type{number}\n"));
        assert_eq!(kept, rig.ask(client, &format!("query type{number}\n")));
        assert!(kept.starts_with("[{"));
    }
    rig.now_ms += 1_000;
    for (number, &client) in clients.iter().enumerate() {
        rig.send(client, format!("query type{number}\n").as_bytes());
    }
    rig.turn();
    assert!(!rig.engine.handler().registry().is_empty(), "it is behind");
    rig.settle();
    for client in clients {
        assert_eq!(rig.received(client), "[]\n");
    }
}
