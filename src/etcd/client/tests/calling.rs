//! Calls, tokens and leases.

use super::*;
use crate::etcd::messages::{Change, Count, Write, WriteOutcome};

fn no_lease() -> Value {
    json!({"error": "x", "code": 5, "message": "requested lease not found"})
}

#[test]
fn each_write_of_a_call_is_answered_and_a_guard_that_failed_says_what_is_there() {
    let mut rig = Rig::watching();
    let write = Write {
        key: b"a".to_vec(),
        guard: 0,
        change: Change::Delete,
    };
    rig.call(Call::Apply(vec![write.clone(), write.clone(), write]));
    rig.answer(CALLS, 200, &json!({"header": header(7)}));
    let found = json!({"kvs": [{"key": "YQ==", "mod_revision": "3"}]});
    rig.answer(CALLS, 200, &json!({"header": header(8), "succeeded": true, "responses": [
        {"response_txn": {"header": {}, "succeeded": true, "responses": [{"response_delete_range": {}}]}},
        {"response_txn": {"header": {}, "responses": [{"response_range": found}]}},
        {"response_txn": {"header": {}, "responses": [{"response_range": {"header": {}}}]}},
    ]}));
    let Some(Answer::Applied(8, outcomes)) = rig.answered() else {
        panic!("{:?}", rig.reports);
    };
    let [
        WriteOutcome::Done,
        WriteOutcome::Found(Some(pair)),
        WriteOutcome::Found(None),
    ] = &outcomes[..]
    else {
        panic!("{outcomes:?}");
    };
    assert_eq!(pair.mod_revision, 3);
    assert_eq!(
        rig.client.resume,
        Some(6),
        "only what was told as a change moves the watch on"
    );
}

#[test]
fn writes_go_under_all_their_guards_together_and_each_under_its_own_where_one_has_failed() {
    let write = |key: &[u8], change| Write {
        key: key.to_vec(),
        guard: 3,
        change,
    };
    let put = Change::Put {
        value: b"{}".to_vec(),
        lease: 7,
    };
    let call = Call::Apply(vec![write(b"a", put), write(b"b", Change::Delete)]);
    let mut rig = Rig::watching();
    rig.call(call.clone());
    assert!(rig.asked(CALLS, "/v3/kv/txn") && !rig.sent(CALLS).contains("request_txn"));
    rig.answer(CALLS, 200, &json!({"header": header(8)}));
    assert_eq!(rig.answered(), None, "nothing was applied");
    assert!(rig.asked(CALLS, "/v3/kv/txn") && rig.sent(CALLS).contains("request_txn"));
    rig.answer(CALLS, 200, &json!({"header": header(9), "succeeded": true, "responses": [
        {"response_txn": {"header": {}, "succeeded": true, "responses": [{"response_put": {}}]}},
        {"response_txn": {"header": {}, "responses": [{"response_range": {"header": {}}}]}},
    ]}));
    let outcomes = vec![WriteOutcome::Done, WriteOutcome::Found(None)];
    assert_eq!(rig.answered(), Some(&Answer::Applied(9, outcomes)));
    rig.reports.clear();

    rig.call(call);
    assert!(!rig.sent(CALLS).contains("request_txn"), "together again");
    rig.answer(CALLS, 200, &json!({"header": header(10), "succeeded": true, "responses": [
        {"response_put": {"header": {}}}, {"response_delete_range": {"header": {}, "deleted": "1"}},
    ]}));
    let outcomes = vec![WriteOutcome::Done, WriteOutcome::Done];
    assert_eq!(rig.answered(), Some(&Answer::Applied(10, outcomes)));
}

#[test]
fn what_etcd_refuses_is_told_and_what_nobody_knows_is_unknown() {
    let mut rig = Rig::watching();
    rig.call(Call::Grant(15));
    rig.answer(
        CALLS,
        200,
        &json!({"header": header(5), "ID": "77", "TTL": "15"}),
    );
    assert_eq!(rig.answered(), Some(&Answer::Granted(77, 15)));
    rig.reports.clear();
    rig.call(Call::Revoke(77));
    rig.answer(CALLS, 404, &no_lease());
    assert!(matches!(rig.answered(), Some(Answer::Failed(failure)) if failure.code == 5));
    let no_leader = json!({"code": 14, "message": "etcdserver: no leader"});
    for answer in [Some(no_leader), None] {
        let mut rig = Rig::watching();
        rig.call(Call::Grant(15));
        match answer {
            Some(answer) => rig.answer(CALLS, 503, &answer),
            None => {
                for _ in 0..8 {
                    assert_eq!(rig.answered(), None);
                    rig.line(&json!({"header": header(5), "watch_id": "-1"}));
                    rig.wait(1_000);
                }
            }
        }
        assert_eq!(rig.answered(), Some(&Answer::Unknown));
        assert!(rig.cause().is_some() && !rig.client.is_busy());
    }
}

#[test]
fn row_61_a_token_is_asked_for_sent_with_each_request_and_renewed_once_a_second_at_most() {
    let user = User {
        name: "node".to_owned(),
        password: "secret".to_owned(),
    };
    let mut rig = Rig::new(Some(user));
    rig.answer(CALLS, 200, &json!({"etcdserver": "3.5.1"}));
    assert!(
        rig.sent(CALLS)
            .ends_with(r#"{"name":"node","password":"secret"}"#)
    );
    rig.answer(CALLS, 200, &json!({"header": header(5), "token": "t.1"}));
    assert!(rig.sent(CALLS).contains("\r\nAuthorization: t.1\r\n"));
    rig.answer(CALLS, 200, &json!({"header": header(5)}));
    rig.count(5);
    rig.answer(CALLS, 200, &json!({"header": header(5)}));
    rig.line(&json!({"header": header(5), "created": true}));
    rig.call(Call::Grant(15));
    rig.answer(
        CALLS,
        401,
        &json!({"code": 16, "message": "etcdserver: invalid auth token"}),
    );
    assert_eq!(
        rig.sent(CALLS),
        "",
        "the last one was asked for a moment ago"
    );
    rig.wait(2_000);
    assert!(rig.asked(CALLS, "/v3/auth/authenticate"));
    rig.answer(CALLS, 200, &json!({"header": header(5), "token": "t.2"}));
    assert!(rig.asked(CALLS, "/v3/lease/grant") && rig.sent(CALLS).contains("Authorization: t.2"));
    assert!(rig.is_open[WATCH], "the watch goes on meanwhile");
}

#[test]
fn leases_are_prolonged_each_third_of_their_time_also_while_the_client_is_away() {
    let mut rig = Rig::watching();
    rig.client.keep(77, 15, rig.now);
    rig.client.keep(78, 15, rig.now);
    let line = |id: &str, ttl: u64| {
        let ttl = if ttl > 0 {
            json!({"TTL": ttl.to_string()})
        } else {
            json!({})
        };
        let mut result = json!({"header": header(5), "ID": id});
        result
            .as_object_mut()
            .expect("an object")
            .extend(ttl.as_object().expect("one").clone());
        json!({ "result": result })
    };
    rig.end(CALLS);
    rig.wait(5_000);
    assert!(rig.sent(LEASES).ends_with(r#"{"ID":"77"}{"ID":"78"}"#));
    rig.reports.clear();
    let body = format!("{}\n{}\n", line("77", 15), line("78", 0));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    rig.receive(LEASES, (head + &body).as_bytes());
    assert_eq!(rig.reports, [Report::Prolonged(77), Report::LeaseLost(78)]);
    rig.sent[LEASES].clear();
    rig.wait(4_999);
    assert_eq!(rig.sent(LEASES), "");
    rig.wait(1);
    assert!(rig.sent(LEASES).ends_with("\r\n\r\n{\"ID\":\"77\"}"));
}

#[test]
fn a_member_that_prolongs_nothing_in_3_s_is_left_and_one_of_another_cluster_is_not_believed() {
    let mut rig = Rig::watching();
    rig.client.keep(77, 15, rig.now);
    rig.wait(5_000);
    let is_kept = |rig: &Rig| rig.client.leases.ids().eq([77]);
    rig.wait(2_999);
    assert!(rig.is_open[LEASES]);
    rig.wait(101);
    assert_eq!(rig.opened.last(), Some(&(LEASES, 2)));
    let foreign = json!({"header": {"cluster_id": "12"}, "ID": "77"});
    rig.answer(LEASES, 200, &json!({ "result": foreign }));
    assert!(!rig.is_open[LEASES] && is_kept(&rig));
    rig.wait(200);
    assert_eq!(rig.opened.last(), Some(&(LEASES, 1)));
}

#[test]
fn where_etcd_has_another_number_of_keys_than_expected_all_are_loaded_anew() {
    for (told, loads) in [("7", false), ("8", true)] {
        let mut rig = Rig::watching();
        rig.call(Call::Count(Count {
            from: b"/d/a".to_vec(),
            end: b"/d/b".to_vec(),
            revision: 4,
            expected: 7,
        }));
        for part in [
            r#""count_only":true"#,
            r#""revision":"4""#,
            r#""key":"L2QvYQ==""#,
        ] {
            assert!(rig.sent(CALLS).contains(part), "{part}");
        }
        let answer = json!({"header": header(5), "count": told});
        rig.answer(CALLS, 200, &answer);
        let count = told.parse().expect("a number");
        assert_eq!(rig.answered(), Some(&Answer::Counted(count)));
        assert_eq!(rig.reports.contains(&Report::LoadBegins), loads);
    }
}
