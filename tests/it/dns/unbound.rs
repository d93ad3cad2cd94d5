//! unbound, which forwards one zone, with minimised names and without our additional records.

use hickory_proto::op::ResponseCode;

use super::haproxy::HaProxy;
use super::*;
use crate::common::{Running, free_port, tool, wait_until};

/// unbound in front of the service; its address. `None` where it is not installed.
fn unbound(service: &Service, folder: &tempfile::TempDir) -> Option<(Running, SocketAddr)> {
    let mut command = tool("unbound")?;
    let port = free_port();
    let upstream = service.dns_address();
    let folder_name = folder.path().display();
    let config = format!(
        "server:\n\
         \x20 interface: 127.0.0.1\n\
         \x20 port: {port}\n\
         \x20 directory: \"{folder_name}\"\n\
         \x20 pidfile: \"{folder_name}/pid\"\n\
         \x20 chroot: \"\"\n\
         \x20 username: \"\"\n\
         \x20 use-syslog: no\n\
         \x20 logfile: \"{folder_name}/log\"\n\
         \x20 do-daemonize: no\n\
         \x20 do-not-query-localhost: no\n\
         \x20 domain-insecure: \"internal\"\n\
         stub-zone:\n\
         \x20 name: \"service.internal\"\n\
         \x20 stub-addr: {}@{}\n\
         remote-control:\n\
         \x20 control-enable: no\n",
        upstream.ip(),
        upstream.port()
    );
    let path = folder.path().join("conf");
    std::fs::write(&path, config).expect("it is written");
    command.arg("-d").arg("-c").arg(&path);
    Some((
        Running::spawn(command),
        SocketAddr::new(upstream.ip(), port),
    ))
}

/// The answer of a server that may still be starting.
fn ask(address: SocketAddr, name: &str, rtype: RecordType) -> Message {
    let message = bytes(&with_edns(query(name, rtype), 1232));
    wait_until("it answers", || {
        let socket = udp(address);
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(2)))
            .expect("a time");
        let mut buffer = vec![0; 65_536];
        socket.send(&message).ok()?;
        let len = socket.recv(&mut buffer).ok()?;
        Some(read(&buffer[..len]))
    })
}

#[test]
fn unbound_finds_the_services_of_the_zone_and_what_is_not_there() {
    let service = service();
    register(&mut service.connect(), "web", &ports(5));
    let folder = tempfile::tempdir().expect("a folder");
    let Some((_process, address)) = unbound(&service, &folder) else {
        return;
    };
    let found = ask(address, "_web._tcp.service.internal.", RecordType::SRV);
    assert_eq!(found.answers.len(), 5);
    let target = "7f0000010001.addr.service.internal.";
    assert_eq!(ask(address, target, RecordType::A).answers.len(), 1);
    let code = |name, rtype| ask(address, name, rtype).metadata.response_code;
    assert_eq!(code(target, RecordType::AAAA), ResponseCode::NoError);
    assert_eq!(
        code("nobody.service.internal.", RecordType::A),
        ResponseCode::NXDomain
    );
}

#[test]
fn haproxy_behind_unbound_uses_all_instances_of_one_host() {
    let service = service();
    register(&mut service.connect(), "web", &ports(5));
    let folder = tempfile::tempdir().expect("a folder");
    let Some((_process, address)) = unbound(&service, &folder) else {
        return;
    };
    ask(address, "service.internal.", RecordType::SOA);
    let Some(haproxy) = HaProxy::start(&address.to_string(), 8192, 10) else {
        return;
    };
    haproxy.wait_for(5);
}
