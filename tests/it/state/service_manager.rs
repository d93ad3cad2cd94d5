//! What a service manager hands over and is told.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use super::{Folder, text};
use crate::common::{Captured, Client, PATIENCE, Service, command, free_port, tool, wait_until};

#[test]
fn a_service_manager_is_told_when_the_service_is_ready_reloads_and_stops() {
    let folder = Folder::new();
    let socket = UnixDatagram::bind(folder.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut start = command();
    start
        .args(["--listen", "127.0.0.1:0", "--state", &folder.state()])
        .env("NOTIFY_SOCKET", text(&folder.path("notify")));
    let mut service = Service::spawn(start);
    let told = || {
        let mut buffer = [0; 1024];
        let len = socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..len].to_vec()).expect("text")
    };
    let ready = told();
    assert!(ready.starts_with("READY=1\n"), "{ready:?}");
    let status = format!("STATUS=listening on {}", service.address());
    assert!(ready.contains(&status), "{ready:?}");
    service.signal("HUP");
    let reloading = told();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading:?}"
    );
    assert!(told().starts_with("READY=1\n"));
    service.signal("TERM");
    assert!(told().starts_with("STOPPING=1\n"));
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn listeners_that_were_opened_before_are_used_in_place_of_its_own() {
    let Some(mut start) = tool("systemd-socket-activate") else {
        return;
    };
    let port = free_port();
    start.arg("--listen").arg(format!("127.0.0.1:{port}"));
    let inner = command();
    start.arg(inner.get_program());
    start
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = start.spawn().expect("it runs");
    let said = Captured::new(child.stdout.take().expect("it is piped"));
    let address = ([127, 0, 0, 1], port).into();
    // The first connection waits until the service has started.
    let mut client = wait_until("it listens", || {
        std::net::TcpStream::connect(address)
            .is_ok()
            .then(|| Client::connect(address))
    });
    assert_eq!(client.ask("ping"), "PONG");
    let announced = format!("listening on 127.0.0.1:{port}\n");
    wait_until("it says where", || (said.text() == announced).then_some(()));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}
