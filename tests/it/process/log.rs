//! The log (section 1 of the contract): what it says, and that the loop never waits for it.

use crate::common::{Service, wait_until};

/// The first line of the log, once the time and the level are off.
fn first_line(service: &Service) -> String {
    let line = wait_until("it logs", || {
        let log = service.log();
        log.split_once('\n').map(|(line, _)| line.to_owned())
    });
    let (_, said) = line.split_once("Z INFO  ").expect("an info");
    said.to_owned()
}

#[test]
fn at_start_one_line_names_version_addresses_and_limits() {
    let version = env!("CARGO_PKG_VERSION");
    let service = Service::start(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    let [v4, v6] = service.addresses() else {
        panic!("two addresses")
    };
    assert_eq!(
        first_line(&service),
        format!(
            "discovery {version} is ready: listen={v4},{v6} ttl=30s tick=1s max-services=1000000 \
             max-connections=10000 idle-timeout=300s tokens=none"
        )
    );
}

#[test]
fn the_line_at_start_names_the_limits_in_force_and_not_those_that_were_asked_for() {
    let tokens = std::env::temp_dir().join(format!("tokens-of-the-log-{}", std::process::id()));
    std::fs::write(&tokens, "a-token-of-the-test\n").expect("a file");
    let mut limited = std::process::Command::new("sh");
    limited.args([
        "-c",
        "ulimit -n 200 && exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_discovery"),
    ]);
    limited.args(["--listen", "127.0.0.1:0", "--ttl", "5", "--tick", "250"]);
    limited.args(["--max-services", "7", "--idle-timeout", "0"]);
    limited.arg("--token-file").arg(&tokens);
    let service = Service::spawn(limited);
    let log = wait_until("it logs", || {
        Some(service.log()).filter(|log| log.contains("is ready"))
    });
    std::fs::remove_file(&tokens).expect("it is ours");
    let limits =
        "ttl=5s tick=250ms max-services=7 max-connections=119 idle-timeout=off tokens=required\n";
    assert!(log.contains(limits), "{log}");
    assert!(!log.contains("a-token-of-the-test"), "{log}");
}
