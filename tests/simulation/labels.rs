//! Tags and metadata that change all the time.

use discovery_service::limits::OUTPUT_WAITING_LEN_MAX;

use crate::rig::{Rig, uuid};
use crate::stream::Stream;
use crate::watching::whole_picture;

/// Reads all that has come, and what the kernel still has.
fn read(rig: &mut Rig, watcher: usize, stream: &mut Stream, told: &mut Vec<u8>) {
    rig.net.take(watcher, usize::MAX);
    told.append(&mut rig.net.pipes[watcher].received);
    stream.read(told);
}

#[test]
fn row_57_watchers_converge_on_tags_that_change_all_the_time_however_late_they_read() {
    const SERVICES: u64 = 20;
    const ROUNDS: u64 = 500;
    let mut rig = Rig::new();
    let (client, prompt, late) = (rig.connect(), rig.connect(), rig.connect());
    for number in 1..=SERVICES {
        rig.ask(
            client,
            &format!("register hive 10.0.0.1 {number} ttl=86400"),
        );
    }
    let mut pictures = [prompt, late].map(|watcher| {
        rig.send(watcher, b"watch hive\n");
        (watcher, Stream::default(), Vec::new())
    });
    rig.net.pipes[prompt].room = usize::MAX;
    rig.settle();
    for round in 0..ROUNDS {
        // Each set goes from one registration to the next.
        let updates: String = (1..=SERVICES)
            .map(|number| {
                let set = round + number;
                let meta = "x".repeat(500);
                format!("update {} tag=t{set} meta.m={meta}\n", uuid(number))
            })
            .collect();
        rig.send(client, updates.as_bytes());
        rig.turn();
        assert_eq!(rig.received(client), "OK\n".repeat(SERVICES as usize));
        assert!(rig.engine.waiting_len() <= 2 * OUTPUT_WAITING_LEN_MAX);
        let (watcher, stream, told) = &mut pictures[0];
        read(&mut rig, *watcher, stream, told);
    }
    let expected = whole_picture(&mut rig);
    assert_eq!(expected.len(), SERVICES as usize);
    assert_eq!(pictures[0].1.states, 1, "who reads is told each change");
    for (watcher, mut stream, mut told) in pictures {
        while {
            rig.settle();
            let before = told.len();
            read(&mut rig, watcher, &mut stream, &mut told);
            told.len() > before
        } {}
        assert!(stream.is_whole());
        assert_eq!(stream.picture, expected);
    }
}
