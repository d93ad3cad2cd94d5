//! The client of etcd against real ones, of each version that is supported. Where one is not
//! installed, its tests are skipped, and say so.

mod driver;
mod nodes;
mod proxy;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use discovery_service::etcd::{
    Answer, Call, Cause, Count, Failure, FailureKind, Report, User, WriteOutcome,
};
use driver::{Driver, delete, put};
pub use driver::{Etcd, VERSIONS};
pub use proxy::Proxy;

use serde_json::{Value, json};

use crate::common::signal;

/// Runs a test against each version.
fn against_each(test: impl Fn(Etcd)) {
    for etcd in VERSIONS.into_iter().filter_map(Etcd::start) {
        test(etcd);
    }
}

#[test]
fn guarded_writes_are_applied_one_by_one_and_told_to_a_watch_in_whole_lines() {
    against_each(|etcd| {
        let mut driver = Driver::watching(&etcd);
        let lease = driver.grant(15);
        let writes = vec![
            put("/d/marker", 0, "{}", lease),
            put("/d/a", 0, "1", lease),
            put("/d/b", 99, "2", lease),
            delete("/d/c", 0),
        ];
        let Answer::Applied(revision, outcomes) = driver.call(Call::Apply(writes)) else {
            panic!("it was not applied");
        };
        let [
            WriteOutcome::Done,
            WriteOutcome::Done,
            WriteOutcome::Found(None),
            WriteOutcome::Done,
        ] = &outcomes[..]
        else {
            panic!("{outcomes:?}");
        };
        driver.wait_for(&Report::LineEnds(revision));
        assert_eq!(driver.changes(), ["/d/marker={}", "/d/a=1"]);
        driver.reports.clear();

        // Another one has been there: the answer says what it has put.
        let lost = driver.call(Call::Apply(vec![put("/d/a", 0, "3", 0)]));
        let Answer::Applied(_, outcomes) = lost else {
            panic!("{lost:?}");
        };
        let [WriteOutcome::Found(Some(pair))] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        assert_eq!(
            (&pair.value[..], pair.mod_revision, pair.lease),
            (&b"1"[..], revision, lease)
        );

        // What goes with a lease is told in one line, in the order of the keys.
        assert_eq!(driver.call(Call::Revoke(lease)), Answer::Revoked);
        driver.wait_for(&Report::LineEnds(revision + 1));
        assert_eq!(driver.changes(), ["/d/a gone", "/d/marker gone"]);
        let gone = driver.call(Call::Revoke(lease));
        assert!(is_refused_as(&gone, FailureKind::NoLease), "{gone:?}");
        let unknown = driver.call(Call::Apply(vec![put("/d/a", 0, "4", lease)]));
        assert!(is_refused_as(&unknown, FailureKind::NoLease), "{unknown:?}");
    });
}

fn is_refused_as(answer: &Answer, kind: FailureKind) -> bool {
    matches!(answer, Answer::Failed(failure) if failure.kind() == kind)
}

#[test]
fn keys_are_counted_at_a_revision_and_a_number_that_differs_loads_all() {
    against_each(|etcd| {
        let mut driver = Driver::watching(&etcd);
        let writes = vec![put("/d/a", 0, "1", 0), put("/d/b", 0, "1", 0)];
        let Answer::Applied(revision, _) = driver.call(Call::Apply(writes)) else {
            panic!("it was not applied");
        };
        driver.call(Call::Apply(vec![put("/d/c", 0, "1", 0)]));
        let count = |expected| {
            let (from, end) = (b"/d/".to_vec(), b"/d0".to_vec());
            Call::Count(Count {
                from,
                end,
                revision,
                expected,
            })
        };
        assert_eq!(driver.call(count(2)), Answer::Counted(2));
        driver.reports.clear();
        assert_eq!(driver.call(count(3)), Answer::Counted(2));
        driver.wait_for(&Report::Watching);
        assert!(driver.reports.contains(&Report::LoadBegins));
        assert_eq!(driver.call(count(2)), Answer::Counted(2));
        etcd.ask(
            "/v3/kv/compaction",
            &format!(r#"{{"revision":"{}"}}"#, revision + 1),
        );
        let compacted = driver.call(count(2));
        assert!(
            is_refused_as(&compacted, FailureKind::Compacted),
            "{compacted:?}"
        );
    });
}

#[test]
fn a_key_can_be_removed_also_while_the_database_is_full() {
    against_each(|mut etcd| {
        let mut driver = Driver::watching(&etcd);
        driver.call(Call::Apply(vec![put("/d/a", 0, "1", 0)]));
        etcd.kill();
        driver.reports.clear();
        driver.wait_for_trouble();
        etcd.run_with(&["--quota-backend-bytes", "100000"]);
        etcd.wait();
        driver.wait_for(&Report::Watching);
        let large = "1".repeat(200_000);
        etcd.ask(
            "/v3/kv/put",
            &format!(r#"{{"key":"eA==","value":"{large}"}}"#),
        );
        let full = driver.call(Call::Grant(15));
        assert!(is_refused_as(&full, FailureKind::Full), "{full:?}");
        driver.reports.clear();
        let removed = driver.call(Call::Remove(b"/d/a".to_vec()));
        assert!(matches!(removed, Answer::Removed(_)), "{removed:?}");
        driver.wait("it is told", |reports| {
            let is_end = |report: &Report| matches!(report, Report::LineEnds(_));
            reports.iter().any(is_end).then_some(())
        });
        assert_eq!(driver.changes(), ["/d/a gone"]);
    });
}

#[test]
fn leases_are_prolonged_and_one_that_was_lost_is_told() {
    against_each(|etcd| {
        let mut driver = Driver::watching(&etcd);
        let (kept, lost) = (driver.grant(3), driver.grant(3));
        driver.keep(kept, 3);
        driver.keep(lost, 3);
        driver.wait_for(&Report::Prolonged(lost));
        driver.wait_for(&Report::Prolonged(kept));
        assert_eq!(driver.call(Call::Revoke(lost)), Answer::Revoked);
        driver.reports.clear();
        driver.wait_for(&Report::LeaseLost(lost));
        driver.reports.clear();
        driver.wait_for(&Report::Prolonged(kept));
        assert!(!driver.reports.contains(&Report::LeaseLost(kept)));
    });
}

#[test]
fn a_watch_goes_on_behind_a_restart_and_loads_all_behind_a_compaction() {
    against_each(|mut etcd| {
        let mut driver = Driver::watching(&etcd);
        driver.call(Call::Apply(vec![put("/d/a", 0, "1", 0)]));
        etcd.kill();
        driver.wait_for_trouble();
        etcd.run();
        etcd.ask("/v3/kv/put", r#"{"key":"L2QvYg==","value":"Mg=="}"#);
        driver.wait("the change is told", |reports| {
            reports.contains(&Report::LineEnds(3)).then_some(())
        });
        assert_eq!(driver.changes().last().map(String::as_str), Some("/d/b=2"));
        assert!(!driver.reports.contains(&Report::LoadBegins));

        etcd.kill();
        driver.reports.clear();
        driver.wait_for_trouble();
        etcd.run();
        for _ in 0..3 {
            etcd.ask("/v3/kv/put", r#"{"key":"L2QvYw==","value":"Mw=="}"#);
        }
        etcd.ask("/v3/kv/compaction", r#"{"revision":"6","physical":true}"#);
        // It may have come back before the compaction.
        driver.wait("all is told", |reports| {
            let loaded = reports.contains(&Report::LoadEnds(6));
            (loaded || reports.contains(&Report::LineEnds(6))).then_some(())
        });
    });
}

#[test]
fn a_watch_from_a_revision_that_was_compacted_loads_all_anew() {
    against_each(|mut etcd| {
        let mut driver = Driver::watching(&etcd);
        for _ in 0..3 {
            etcd.ask("/v3/kv/put", r#"{"key":"L2QvYw==","value":"Mw=="}"#);
        }
        // Nobody turns the client meanwhile, so it has seen none of it and reconnects behind the
        // compaction.
        etcd.ask("/v3/kv/compaction", r#"{"revision":"4","physical":true}"#);
        driver.drop_unread();
        etcd.kill();
        etcd.run();
        driver.wait_for(&Report::LoadEnds(4));
        assert_eq!(driver.changes(), [""; 0]);
        assert!(!driver.reports.contains(&Report::OtherHistory));
    });
}

#[test]
fn a_cluster_whose_data_was_wiped_is_another_history() {
    against_each(|mut etcd| {
        let mut driver = Driver::watching(&etcd);
        driver.call(Call::Apply(vec![put("/d/a", 0, "1", 0)]));
        driver.wait_for(&Report::LineEnds(2));
        drop(etcd.wipe());
        driver.wait_for_trouble();
        etcd.run();
        driver.wait_for(&Report::OtherHistory);
        driver.wait_for(&Report::LoadEnds(1));
    });
}

#[test]
fn a_member_that_is_suspended_is_noticed_within_10_s() {
    against_each(|etcd| {
        let mut driver = Driver::watching(&etcd);
        let stopped = driver.now();
        signal(etcd.process(), "STOP");
        let cause = driver.wait_for_trouble();
        let after_ms = driver.now().millis_since(stopped);
        signal(etcd.process(), "CONT");
        assert_eq!(cause, Cause::SilentWatch);
        assert!(after_ms >= 9_000, "after {after_ms} ms");
        driver.reports.clear();
        driver.wait_for(&Report::Watching);
        assert!(!driver.reports.contains(&Report::LoadBegins));
    });
}

#[test]
fn more_keys_than_a_page_holds_are_all_loaded_at_one_revision() {
    against_each(|mut etcd| {
        etcd.kill();
        etcd.run_with(&["--max-txn-ops", "10000"]);
        etcd.wait();
        let keys: Vec<String> = (0..50_200)
            .map(|number| format!("/d/{number:06}"))
            .collect();
        for keys in keys.chunks(10_000) {
            let put = |key: &String| json!({"request_put": {"key": STANDARD.encode(key)}});
            let puts: Vec<Value> = keys.iter().map(put).collect();
            let answer = etcd.ask("/v3/kv/txn", &json!({ "success": puts }).to_string());
            assert_eq!(answer["succeeded"], true, "{answer}");
        }
        let mut driver = Driver::new(&etcd, None);
        driver.wait_for(&Report::Watching);
        // On a busy machine etcd may be too slow for the first load, which is then given up.
        let begins = |report: &Report| *report == Report::LoadBegins;
        let last = driver.reports.iter().rposition(begins).expect("it loads");
        let told = driver.reports[last..].iter();
        let loaded = told.filter_map(|report| match report {
            Report::Loaded(pair) => Some(String::from_utf8_lossy(&pair.key).into_owned()),
            _ => None,
        });
        assert!(loaded.eq(keys), "each key is told once, in their order");
    });
}

/// Turns authentication on, with this user and password. The user may do all with the keys that begin
/// with this prefix, which ends with `/`, and nothing with others.
pub fn require_password(etcd: &Etcd, name: &str, password: &str, prefix: &str) {
    let ask = |path: &str, body: String| {
        let answer = etcd.ask(path, &body);
        assert!(answer.get("code").is_none(), "{answer}");
    };
    for role in ["root", name] {
        ask("/v3/auth/role/add", format!(r#"{{"name":"{role}"}}"#));
        ask(
            "/v3/auth/user/add",
            format!(r#"{{"name":"{role}","password":"{password}"}}"#),
        );
        ask(
            "/v3/auth/user/grant",
            format!(r#"{{"user":"{role}","role":"{role}"}}"#),
        );
    }
    let end = format!("{}0", prefix.trim_end_matches('/'));
    let (from, end) = (STANDARD.encode(prefix), STANDARD.encode(end));
    let rights = json!({"permType": "READWRITE", "key": from, "range_end": end});
    ask(
        "/v3/auth/role/grant",
        json!({"name": name, "perm": rights}).to_string(),
    );
    ask("/v3/auth/enable", "{}".to_owned());
}

#[test]
fn a_user_with_a_password_is_let_in_also_after_its_token_was_forgotten() {
    against_each(|mut etcd| {
        require_password(&etcd, "node", "secret", "/d/");
        let user = |password: &str| User {
            name: "node".to_owned(),
            password: password.to_owned(),
        };
        for wrong in [None, Some(user("wrong"))] {
            let mut driver = Driver::new(&etcd, wrong);
            let cause = driver.wait_for_trouble();
            let is_named = |failure: &Failure| failure.kind() == FailureKind::Credentials;
            assert!(
                matches!(&cause, Cause::Failed(failure) if is_named(failure)),
                "{cause:?}"
            );
        }
        let mut driver = Driver::new(&etcd, Some(user("secret")));
        driver.wait_for(&Report::Watching);
        driver.call(Call::Apply(vec![put("/d/a", 0, "1", 0)]));
        // Its tokens are in its memory only.
        etcd.kill();
        driver.reports.clear();
        driver.wait_for_trouble();
        etcd.run_with(&[]);
        driver.wait_for(&Report::Watching);
        assert!(!driver.reports.contains(&Report::LoadBegins));
        let answer = driver.call(Call::Apply(vec![put("/d/b", 0, "2", 0)]));
        assert!(matches!(answer, Answer::Applied(..)), "{answer:?}");
    });
}

#[test]
fn a_gateway_that_is_off_is_named() {
    against_each(|mut etcd| {
        etcd.kill();
        etcd.run_with(&["--enable-grpc-gateway=false"]);
        let mut driver = Driver::new(&etcd, None);
        driver.wait("it says that the gateway is off", |reports| {
            let is_named = |report: &Report| {
                matches!(report, Report::Away(trouble) if trouble.cause == Cause::NoGateway)
            };
            reports.iter().any(is_named).then_some(())
        });
    });
}
