//! Loading and watching.

use super::*;
use crate::etcd::answers::Event;

/// A key of one letter, `b'a'` being "YQ==".
fn put(key: &str, revision: u64) -> Value {
    json!({"kv": {"key": key, "mod_revision": revision.to_string()}})
}

#[test]
fn all_keys_are_loaded_by_pages_at_one_revision_and_watched_from_the_next() {
    let mut rig = Rig::new(None);
    assert!(rig.asked(CALLS, "/version"));
    rig.answer(CALLS, 200, &json!({"etcdserver": "3.4.23"}));
    assert!(rig.sent(CALLS).ends_with(r#"{"key":"L2QvY2x1c3Rlcg=="}"#));
    let key = |key: &str| json!({"key": key, "mod_revision": "3"});
    let checked = json!({"header": header(5), "kvs": [{"key": "YQ==", "value": "e30="}]});
    rig.answer(CALLS, 200, &checked);
    assert!(rig.sent(CALLS).contains(r#""count_only":true"#));
    rig.answer(CALLS, 200, &json!({"header": header(5), "count": "50001"}));
    assert!(
        rig.sent(CALLS).contains(r#""limit":"50000""#)
            && rig.sent(CALLS).contains(r#""revision":"0""#)
            && !rig.sent(CALLS).contains("sort_"),
        "{}",
        rig.sent(CALLS)
    );
    rig.answer(
        CALLS,
        200,
        &json!({"header": header(7), "kvs": [key("YQ=="), key("Yg==")], "more": true}),
    );
    // From the last key and a zero byte, at the first page's revision.
    assert!(
        rig.sent(CALLS).contains(r#""key":"YgA=""#)
            && rig.sent(CALLS).contains(r#""revision":"7""#)
    );
    rig.answer(
        CALLS,
        200,
        &json!({"header": header(9), "kvs": [key("Yw==")]}),
    );
    assert!(rig.asked(WATCH, "/v3/watch") && rig.sent(WATCH).contains(r#""start_revision":"8""#));
    rig.line(&json!({"header": header(9), "created": true}));
    let [reached, rest @ ..] = &rig.reports[..] else {
        panic!("nothing was told");
    };
    let checked = |report: &Report| matches!(report, Report::Reached { checked: Some(pair), .. } if pair.value == b"{}");
    assert!(checked(reached), "{reached:?}");
    let names: Vec<String> = rest.iter().map(|report| format!("{report:?}")).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(
        (&*names[0], &*names[4], &*names[5]),
        ("LoadBegins", "LoadEnds(7)", "Watching")
    );
    assert!(names[1..4].iter().all(|name| name.starts_with("Loaded")));
}

#[test]
fn what_fits_into_one_page_is_loaded_by_its_age_and_anew_where_there_is_more_by_then() {
    let mut rig = Rig::new(None);
    rig.answer(CALLS, 200, &json!({"etcdserver": "3.4.23"}));
    rig.answer(CALLS, 200, &json!({"header": header(5)}));
    rig.answer(CALLS, 200, &json!({"header": header(5), "count": "50000"}));
    assert!(rig.sent(CALLS).contains(r#""sort_target":"CREATE""#));
    let page =
        json!({"header": header(6), "kvs": [{"key": "Yg=="}, {"key": "YQ=="}], "more": true});
    rig.answer(CALLS, 200, &page);
    assert!(rig.sent(CALLS).contains(r#""count_only":true"#));
    rig.answer(CALLS, 200, &json!({"header": header(6), "count": "50001"}));
    // All keys again, from the first one, as they are now.
    assert!(
        rig.sent(CALLS).contains(r#""key":"L2Qv""#)
            && rig.sent(CALLS).contains(r#""revision":"0""#)
            && !rig.sent(CALLS).contains("sort_")
    );
    let begins = rig
        .reports
        .iter()
        .filter(|report| **report == Report::LoadBegins);
    assert_eq!(begins.count(), 2);
}

#[test]
fn what_takes_the_place_of_what_was_deleted_is_told_together_with_it() {
    let mut rig = Rig::watching();
    rig.client.keep(7, 15, rig.now);
    rig.wait(5_000);
    let line = json!({"result": {"header": header(6), "events": [
        {"type": "DELETE", "kv": {"key": "YQ==", "mod_revision": "6"}}, put("Yg==", 6),
    ]}});
    let line = format!("{line}\n");
    let (deleted, rest) = line.split_at(line.find(r#"{"kv":{"key":"Yg=="#).expect("a put"));
    rig.receive(WATCH, format!("{:x}\r\n{deleted}", line.len()).as_bytes());
    // What comes on another link meanwhile does not part them.
    rig.answer(LEASES, 200, &json!({"result": {"ID": "7", "TTL": "15"}}));
    assert_eq!(rig.reports, []);
    rig.receive(WATCH, format!("{rest}\r\n").as_bytes());
    let [Report::Changed(Event::Delete(_)), rest @ ..] = &rig.reports[..] else {
        panic!("{:?}", rig.reports);
    };
    let expected = |report: &Report| matches!(report, Report::Changed(Event::Put(_)));
    assert!(rest.iter().any(expected), "{rest:?}");
    assert_eq!(rig.reports.last(), Some(&Report::LineEnds(6)));
}

#[test]
fn a_deletion_with_nothing_behind_it_is_told_when_its_line_or_its_connection_ends() {
    for is_whole in [true, false] {
        let mut rig = Rig::watching();
        let line = json!({"result": {"header": header(6), "events": [
            {"type": "DELETE", "kv": {"key": "YQ==", "mod_revision": "6"}},
        ]}});
        let line = format!("{line}\n");
        let (event, end) = line.split_at(1 + line.find("]").expect("an end"));
        rig.receive(WATCH, format!("{:x}\r\n{event}", line.len()).as_bytes());
        assert_eq!(rig.reports, []);
        if is_whole {
            rig.receive(WATCH, format!("{end}\r\n").as_bytes());
        } else {
            rig.end(WATCH);
        }
        assert!(matches!(
            rig.reports[..],
            [
                Report::Changed(Event::Delete(_)),
                Report::LineEnds(6) | Report::Away(_)
            ]
        ));
    }
}

#[test]
fn after_its_connection_has_ended_it_goes_on_behind_the_last_whole_line_at_the_next_member() {
    let mut rig = Rig::watching();
    rig.line(&json!({"header": header(7), "events": [put("YQ==", 6), put("Yg==", 7)]}));
    assert_eq!(rig.reports.last(), Some(&Report::LineEnds(7)));
    // The rest of this line never comes.
    rig.receive(
        WATCH,
        b"fff\r\n{\"result\":{\"events\":[{\"kv\":{\"key\":\"YQ==\",\"mod_revision\":\"8\"}},",
    );
    assert!(
        matches!(rig.reports.last(), Some(Report::Changed(Event::Put(pair))) if pair.mod_revision == 8)
    );
    rig.end(WATCH);
    assert_eq!(rig.cause(), Some(&Cause::Ended));
    assert!(!rig.is_open[CALLS]);
    rig.wait(100);
    assert_eq!(rig.opened, [(CALLS, 1), (WATCH, 1), (CALLS, 2)]);
    rig.reports.clear();
    rig.reach(9);
    assert!(rig.sent(WATCH).contains(r#""start_revision":"8""#));
    assert!(
        matches!(rig.reports[..], [Report::Reached { .. }]),
        "nothing is loaded"
    );
}

#[test]
fn a_watch_behind_a_compaction_loads_all_anew_on_the_same_connections() {
    let mut rig = Rig::watching();
    rig.line(&json!({"header": header(9), "canceled": true, "compact_revision": "8"}));
    assert!(!rig.is_open[WATCH] && rig.asked(CALLS, "/v3/kv/range"));
    rig.count(9);
    // So does a page that takes too long to come.
    rig.answer(
        CALLS,
        400,
        &json!({"error": "x", "code": 11, "message": "compacted"}),
    );
    rig.count(9);
    rig.answer(CALLS, 200, &json!({"header": header(9)}));
    assert!(rig.sent(WATCH).contains(r#""start_revision":"10""#));
    let expected = [Report::LoadBegins, Report::LoadBegins, Report::LoadEnds(9)];
    assert_eq!(rig.reports, expected);
}

#[test]
fn row_61_another_cluster_a_lower_term_and_a_lower_revision_are_another_history() {
    let other = json!({"cluster_id": "12", "revision": "9", "raft_term": "2"});
    let term = json!({"cluster_id": "11", "revision": "9", "raft_term": "1"});
    for header in [other, term, header(4)] {
        let mut rig = Rig::watching();
        rig.end(CALLS);
        rig.wait(100);
        rig.answer(CALLS, 200, &json!({"etcdserver": "3.5.1"}));
        rig.reports.clear();
        rig.answer(CALLS, 200, &json!({ "header": header }));
        rig.count(9);
        assert!(
            rig.sent(CALLS).contains(r#""revision":"0""#),
            "all is loaded"
        );
        assert_eq!(rig.reports[1..], [Report::OtherHistory, Report::LoadBegins]);
    }
}

#[test]
fn a_watch_that_begins_before_what_was_seen_asks_a_quorum_whether_its_member_lags() {
    for (revision, is_restored) in [(9, false), (5, true)] {
        let mut rig = Rig::watching();
        rig.line(&json!({"header": header(9), "events": [put("YQ==", 9)]}));
        rig.end(WATCH);
        rig.wait(100);
        rig.reach(9);
        rig.reports.clear();
        rig.line(&json!({"header": header(5), "created": true}));
        assert!(rig.asked(CALLS, "/v3/kv/range"));
        rig.answer(CALLS, 200, &json!({"header": header(revision)}));
        let is_told = rig.reports.contains(&Report::OtherHistory);
        assert_eq!((is_told, rig.is_open[WATCH]), (is_restored, !is_restored));
    }
}

#[test]
fn row_61_a_silent_watch_is_probed_after_5_s_and_dead_after_10() {
    let mut rig = Rig::watching();
    rig.sent[WATCH].clear();
    rig.wait(4_999);
    assert_eq!(rig.sent(WATCH), "");
    rig.wait(1);
    assert!(rig.sent(WATCH).contains("progress_request"));
    rig.line(&json!({"header": header(99), "watch_id": "-1"}));
    assert_eq!(
        rig.client.resume,
        Some(6),
        "it proves life and nothing else"
    );
    rig.wait(9_999);
    assert_eq!(rig.cause(), None);
    rig.wait(1);
    assert_eq!(rig.cause(), Some(&Cause::SilentWatch));
}

#[test]
fn row_61_one_line_says_what_is_wrong_with_a_member_and_what_to_do() {
    let cases: [(&[u8], &str); 4] = [
        (
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            "it expects TLS, which cannot be spoken; give its http:// address",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n{\"etcdserver\":\"3.3.25\",\"etcdcluster\":\"3.3.0\"}",
            "version 3.4 or later is needed, and it says \"3.3.25\"",
        ),
        (
            b"-ERR unknown command\r\n\r\n",
            "what came is no answer of HTTP/1; is this its client port?",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
            "what came is no object of JSON (status 200)",
        ),
    ];
    for (bytes, expected) in cases {
        let mut rig = Rig::new(None);
        rig.receive(CALLS, bytes);
        let Some(Report::Away(trouble)) = rig.reports.last() else {
            panic!("{:?}", rig.reports);
        };
        assert_eq!(
            trouble.to_string(),
            format!("etcd at 10.0.0.1:2379: {expected}")
        );
    }
    let mut rig = Rig::new(None);
    rig.answer(CALLS, 200, &json!({"etcdserver": "3.4.23"}));
    rig.receive(
        CALLS,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n404 page not found\n",
    );
    assert_eq!(rig.cause(), Some(&Cause::NoGateway));
}

#[test]
fn row_61_what_cannot_be_read_is_left_out_and_the_rest_of_its_line_is_told() {
    let mut rig = Rig::watching();
    let long = "x".repeat(20_000);
    let events = json!([put("YQ==", 6), put("?", 6), {"kv": {"key": long}}, 1, put("Yg==", 6)]);
    rig.line(&json!({"header": header(6), "events": events}));
    let left_out = rig
        .reports
        .iter()
        .filter(|report| **report == Report::LeftOut);
    assert_eq!(left_out.count(), 3);
    assert_eq!(rig.reports.len(), 6);
    assert_eq!(rig.client.resume, Some(7));
}
