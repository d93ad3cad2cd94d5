//! What the command of `run` starts with, and what is left of it at its end.

use std::process::Command;

use super::run::{PROGRAM, Running, is_registered, is_running};
use crate::common::{Service, Talking, finish, free_port, signal, verb, wait_until};

#[test]
fn a_process_group_gets_each_signal_and_ends_with_its_command() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let port = free_port();
    let text = port.to_string();
    let mut command = verb(service.address(), &["run", "web", &text, "--group", "--"]);
    // The shell does not pass signals on, and ends while the program lives on.
    command.args([
        "sh",
        "-c",
        "trap : USR1; trap 'exit 5' TERM; python3 -c \"$1\" $2 & while :; do wait; done",
    ]);
    command.args(["sh", PROGRAM, &text]);
    let mut run = Talking::spawn(command);
    let ready = run.line();
    let pid = ready
        .strip_prefix("ready ")
        .and_then(|pid| pid.parse().ok());
    let pid: u32 = pid.unwrap_or_else(|| panic!("{ready}"));
    wait_until("it is registered", || {
        is_registered(&mut client, port).then_some(())
    });
    signal(run.child.id(), "USR1");
    assert_eq!(run.line(), "got SIGUSR1");
    signal(run.child.id(), "TERM");
    assert_eq!(run.status(), Some(5));
    assert!(
        !is_running(pid),
        "the rest of the group has ended before run"
    );
}

#[test]
fn what_is_left_of_a_process_group_ends_with_its_command() {
    let service = Service::start(&[]);
    let mut command = verb(
        service.address(),
        &["run", "web", "1", "--group", "--no-wait-port", "--"],
    );
    // It ignores SIGTERM.
    command.args([
        "sh",
        "-c",
        "(trap '' TERM; echo $$; exec sleep 60) & wait_for=$!; sleep 0.2; echo $wait_for; exit 4",
    ]);
    let mut run = Talking::spawn(command);
    run.line();
    let left = run.line().parse().expect("a process id");
    assert_eq!(run.status(), Some(4));
    wait_until("it is killed", || (!is_running(left)).then_some(()));
}

#[test]
fn sigterm_is_passed_on_as_the_stop_signal() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let (mut running, _) = Running::registered(&service, &mut client, &["--stop-signal", "HUP"]);
    running.signal("TERM");
    assert_eq!(running.run.line(), "got SIGHUP");
    assert!(!is_registered(&mut client, running.port));
    running.signal("INT");
    assert_eq!(
        running.run.line(),
        "got SIGINT",
        "the others are as they are"
    );
}

#[test]
fn an_interpreter_that_is_missing_is_named() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("no-such-interpreter");
    std::fs::write(&script, "#!/no/such/interpreter -x\n").expect("a file");
    let made = Command::new("chmod").arg("+x").arg(&script).status();
    assert!(made.expect("it runs").success());
    let path = script.to_str().expect("a path");
    for program in [path, "no-such-interpreter"] {
        let mut command = verb(service.address(), &["run", "web", "1", "--", program]);
        let ended = finish({
            let places = std::env::var("PATH").expect("a path");
            command.env("PATH", format!("{}:{places}", folder.path().display()));
            command
        });
        assert_eq!(ended.status, Some(126), "{}", ended.stderr);
        assert!(
            ended
                .stderr
                .contains("its interpreter /no/such/interpreter does not exist"),
            "{}",
            ended.stderr
        );
    }
}
