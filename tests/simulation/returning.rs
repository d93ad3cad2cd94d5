//! What a service makes of the registrations of an earlier process.

use crate::journal::FakeFile;
use crate::rig::Rig;

const HIVE: &str = "[{\"ip\":\"10.0.0.1\",\"port\":80}]\n";

/// A service that has made some registrations, and its file.
fn earlier(commands: &[&str]) -> (FakeFile, Vec<String>) {
    let file = FakeFile::new();
    file.set_prompt(true);
    let mut rig = Rig::new();
    rig.engine.save_to(file.reopened(0));
    let client = rig.connect();
    let told = commands.iter().map(|command| {
        let told = rig.ask(client, command);
        rig.settle();
        (told + &rig.received(client)).trim_end().to_owned()
    });
    let told = told.collect();
    (file, told)
}

/// The next process.
fn next(file: &FakeFile) -> Rig {
    let mut rig = Rig::restored(file);
    file.set_prompt(true);
    rig.engine.save_to(file.reopened(0));
    rig
}

fn ask(rig: &mut Rig, client: usize, line: &str) -> String {
    let told = rig.ask(client, line);
    rig.settle();
    told + &rig.received(client)
}

/// Sends `hold` on a new connection; returns that and the UUID.
fn hold(rig: &mut Rig, line: &str) -> (usize, String) {
    let client = rig.connect();
    let uuid = ask(rig, client, line);
    assert_eq!(uuid.len(), 37, "{uuid}");
    (client, uuid.trim_end().to_owned())
}

#[test]
fn row_60_what_is_restored_lives_for_one_ttl_and_its_end_is_told_once() {
    let (file, uuids) = earlier(&[
        "register hive 10.0.0.1 80 ttl=20",
        "register hive 10.0.0.2 80",
    ]);
    let mut rig = next(&file);
    let watcher = rig.connect();
    let snapshot = ask(&mut rig, watcher, "watch hive");
    assert_eq!(snapshot.matches("\"ip\"").count(), 2, "{snapshot}");
    rig.pass(19_000);
    let client = rig.connect();
    let alive = ask(&mut rig, client, &format!("heartbeat {}", uuids[1]));
    assert_eq!(alive, "OK\n");
    rig.pass(1_000);
    assert_eq!(
        ask(&mut rig, client, "query hive"),
        HIVE.replace("0.1", "0.2")
    );
    rig.pass(40_000);
    let told = rig.received(watcher);
    assert_eq!(told.matches("\"up\":[{").count(), 0, "{told}");
    assert_eq!(told.matches("expired").count(), 2, "{told}");
    assert_eq!(ask(&mut rig, client, "query hive"), "[]\n");
}

#[test]
fn row_60_a_holder_that_comes_back_in_time_is_adopted_and_nobody_is_told() {
    for after_ms in [100, 2_500, 6_000, 9_900] {
        for replace in ["", " replace"] {
            let (file, uuids) = earlier(&[
                "hold hive 10.0.0.1 80 tag=a",
                "register hive 10.0.0.2 80",
                "register hive 10.0.0.3 80",
            ]);
            let mut rig = next(&file);
            let client = rig.connect();
            let order = ask(&mut rig, client, "query hive");
            let watcher = rig.connect();
            let snapshot = ask(&mut rig, watcher, "watch");
            rig.pass(after_ms);
            // Until then the old UUID is the right to it.
            let heartbeat = format!("heartbeat {}", uuids[0]);
            assert_eq!(ask(&mut rig, client, &heartbeat), "OK\n");
            let (holder, uuid) = hold(&mut rig, &format!("hold hive 10.0.0.1 80 tag=a{replace}"));
            assert_ne!(uuid, uuids[0]);
            assert_eq!(ask(&mut rig, client, &heartbeat), "NOT FOUND\n");
            let why = ask(&mut rig, client, &format!("why {}", uuids[0]));
            assert_eq!(why, "NOT FOUND\n");
            let deregister = format!("deregister {}", uuids[0]);
            assert_eq!(ask(&mut rig, client, &deregister), "NOT FOUND\n");
            let revive = format!("heartbeat {} hive 10.0.0.1 80", uuids[0]);
            assert!(ask(&mut rig, client, &revive).starts_with("ERROR"));
            let heartbeat = format!("heartbeat {uuid}");
            assert_eq!(ask(&mut rig, client, &heartbeat), "OK\n");
            assert_eq!(ask(&mut rig, client, "query hive"), order);
            assert_eq!(rig.received(watcher), "", "after {after_ms} ms");
            // A new watcher knows it by the same name, and its end is told by that.
            let other = rig.connect();
            assert_eq!(id(&ask(&mut rig, other, "watch")), id(&snapshot));
            rig.net.reset(holder);
            rig.settle();
            assert_eq!(id(&rig.received(watcher)), id(&snapshot));
            let why = ask(&mut rig, client, &format!("why {uuid}"));
            assert!(why.contains("connection closed"), "{why}");
        }
    }
}

/// The first public name in a line.
fn id(line: &str) -> &str {
    let (_, rest) = line
        .split_once("\"id\":\"")
        .unwrap_or_else(|| panic!("{line:?}"));
    &rest[..16]
}

#[test]
fn row_60_a_holder_that_does_not_come_back_is_gone_after_10_s() {
    let (file, uuids) = earlier(&["hold hive 10.0.0.1 80 ttl=1"]);
    let mut rig = next(&file);
    let client = rig.connect();
    let watcher = rig.connect();
    ask(&mut rig, watcher, "watch hive");
    rig.pass(9_900);
    assert_eq!(ask(&mut rig, client, "query hive"), HIVE);
    rig.pass(100);
    assert_eq!(ask(&mut rig, client, "query hive"), "[]\n");
    let told = rig.received(watcher);
    assert!(told.contains("\"reason\":\"connection closed\""), "{told}");
    let why = ask(&mut rig, client, &format!("why {}", uuids[0]));
    assert!(why.contains("connection closed"), "{why}");
    // Who comes later makes a new one.
    hold(&mut rig, "hold hive 10.0.0.1 80");
    assert!(rig.received(watcher).contains("\"up\":[{"));
    assert!(rig.engine.handler().registry().len() == 1);
}

#[test]
fn row_60_another_client_with_the_address_adopts_it_with_its_own_ttl_and_tags() {
    let (file, _) = earlier(&["hold hive 10.0.0.1 80 tag=a", "hold hive 10.0.0.1 80 tag=b"]);
    let mut rig = next(&file);
    let watcher = rig.connect();
    ask(&mut rig, watcher, "watch hive");
    let elsewhere = hold(&mut rig, "hold hive 10.0.0.1 81").0;
    let other = hold(&mut rig, "hold queen 10.0.0.1 80").0;
    assert!(rig.received(watcher).contains(":81"));
    let (first, _) = hold(&mut rig, "hold hive 10.0.0.1 80 ttl=7 tag=c");
    let told = rig.received(watcher);
    assert!(
        told.contains("\"up\":[{") && told.contains("\"down\":[]"),
        "{told}"
    );
    let client = rig.connect();
    let list = ask(&mut rig, client, "list hive");
    assert!(
        list.contains("\"ttl_ms\":7000") && list.contains("[\"c\"]"),
        "{list}"
    );
    hold(&mut rig, "hold hive 10.0.0.1 80");
    // There were two, so a third is a new one.
    assert_eq!(rig.engine.handler().registry().len(), 4);
    hold(&mut rig, "hold hive 10.0.0.1 80");
    assert_eq!(rig.engine.handler().registry().len(), 5);
    for holder in [elsewhere, other, first] {
        rig.net.reset(holder);
    }
    rig.pass(11_000);
    assert_eq!(rig.engine.handler().registry().len(), 2);
}

#[test]
fn row_60_what_was_adopted_is_adopted_again_in_the_next_process_and_keeps_its_name_and_place() {
    let (file, _) = earlier(&["hold hive 10.0.0.1 80", "hold hive 10.0.0.2 80"]);
    let (mut order, mut name, mut uuids) = (String::new(), String::new(), Vec::new());
    for round in 0..6 {
        if round == 3 {
            file.compact();
        }
        let mut rig = next(&file);
        let client = rig.connect();
        let watcher = rig.connect();
        let snapshot = ask(&mut rig, watcher, "watch hive");
        let query = ask(&mut rig, client, "query hive");
        if round == 0 {
            (order, name) = (query.clone(), id(&snapshot).to_owned());
        }
        assert_eq!((&query, id(&snapshot)), (&order, &*name), "round {round}");
        for (number, uuid) in uuids.iter().enumerate() {
            let is_last = number + 1 == uuids.len();
            let expected = if is_last { "OK\n" } else { "NOT FOUND\n" };
            assert_eq!(
                ask(&mut rig, client, &format!("heartbeat {uuid}")),
                expected
            );
        }
        hold(&mut rig, "hold hive 10.0.0.2 80");
        uuids.push(hold(&mut rig, "hold hive 10.0.0.1 80").1);
        // The process ends with its connections, which is no end of what they hold.
        rig.engine.stop(&mut rig.net);
        rig.settle();
    }
}

#[test]
fn row_60_a_watch_goes_on_at_an_index_that_does_not_go_back() {
    let (file, _) = earlier(&["register hive 10.0.0.1 80", "register hive 10.0.0.2 80"]);
    let index = |line: &str| -> u64 {
        let (_, rest) = line.split_once("\"index\":").expect("an index");
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
        rest[..end].parse().unwrap()
    };
    let mut last = 0;
    for _ in 0..3 {
        let mut rig = next(&file);
        let watcher = rig.connect();
        let snapshot = ask(&mut rig, watcher, "watch");
        assert!(index(&snapshot) >= last, "{last} {snapshot}");
        let client = rig.connect();
        // Much that has gone has counted.
        for _ in 0..5 {
            let uuid = ask(&mut rig, client, "register hive 10.0.0.3 80");
            ask(&mut rig, client, format!("deregister {uuid}").trim_end());
        }
        let told = rig.received(watcher);
        last = index(told.lines().last().expect("a delta"));
        file.compact();
    }
}

#[test]
fn row_60_where_damage_has_lost_a_removal_the_last_word_counts_and_a_ghost_lives_for_one_ttl() {
    let (file, uuids) = earlier(&["register hive 10.0.0.1 80", "register hive 10.0.0.2 80"]);
    {
        let mut rig = next(&file);
        let client = rig.connect();
        for (uuid, revived) in [(&uuids[0], true), (&uuids[1], false)] {
            let gone = ask(&mut rig, client, &format!("deregister {uuid}"));
            assert_eq!(gone, "OK\n");
            let revive = format!("heartbeat {uuid} hive 10.0.0.3 80");
            let revive = revived.then(|| ask(&mut rig, client, &revive));
            assert!(revive.is_none_or(|told| told == "OK\n"));
        }
    }
    // Two registrations, a removal, the first registration again, and the second removal.
    file.damage(2);
    file.damage(4);
    let mut rig = next(&file);
    let client = rig.connect();
    let both = "[{\"ip\":\"10.0.0.2\",\"port\":80},{\"ip\":\"10.0.0.3\",\"port\":80}]\n";
    assert_eq!(ask(&mut rig, client, "query hive"), both);
    let heartbeat = format!("heartbeat {}", uuids[0]);
    rig.pass(29_000);
    assert_eq!(ask(&mut rig, client, &heartbeat), "OK\n");
    rig.pass(1_000);
    let one = HIVE.replace("0.1", "0.3");
    assert_eq!(ask(&mut rig, client, "query hive"), one);
    let deregister = format!("deregister {}", uuids[0]);
    assert_eq!(ask(&mut rig, client, &deregister), "OK\n");
    assert_eq!(ask(&mut rig, client, "query hive"), "[]\n");
}
