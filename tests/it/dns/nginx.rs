//! nginx, which asks without EDNS, and over TCP for what does not fit into 512 bytes.

use std::net::TcpListener;

use super::*;
use crate::common::{Running, free_port, tool, wait_until};

/// Answers every request over HTTP, at as many addresses of loopback.
fn backends(len: u8) -> u16 {
    let first = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = first.local_addr().expect("an address").port();
    let others = (2..=len).map(|host| {
        TcpListener::bind(SocketAddr::from(([127, 0, 0, host], port))).expect("a free port")
    });
    for listener in [first].into_iter().chain(others) {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhere");
            }
        });
    }
    port
}

#[test]
fn nginx_finds_one_of_forty_addresses_over_tcp() {
    let Some(mut nginx) = tool("nginx") else {
        return;
    };
    let service = service();
    let backend = backends(40);
    register(&mut service.connect(), "web", &hosts(40, backend));
    let folder = tempfile::tempdir().expect("a folder");
    let (port, dns, path) = (free_port(), service.dns_address(), folder.path().display());
    let config = format!(
        "daemon off; master_process off; pid {path}/pid; error_log {path}/error;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off;\n\
         client_body_temp_path {path}/1; proxy_temp_path {path}/2; fastcgi_temp_path {path}/3;\n\
         uwsgi_temp_path {path}/4; scgi_temp_path {path}/5;\n\
         resolver {dns};\n\
         server {{ listen 127.0.0.1:{port};\n\
         location / {{ set $web web.service.internal; proxy_pass http://$web:{backend}; }} }} }}\n"
    );
    let conf = folder.path().join("conf");
    std::fs::write(&conf, config).expect("it is written");
    nginx.arg("-c").arg(&conf);
    nginx.arg("-e").arg(folder.path().join("error"));
    let _nginx = Running::spawn(nginx);
    let answer = wait_until("nginx listens", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    });
    let log = std::fs::read_to_string(folder.path().join("error")).unwrap_or_default();
    assert!(
        answer.contains(" 200 ") && answer.ends_with("here"),
        "{answer}{log}"
    );
    let stats = service.connect().ask("stats");
    assert!(stats.contains("\"tcp\":1"), "{stats}");
}
