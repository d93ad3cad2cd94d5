//! A service that answers what a test prescribes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

/// A service that answers the first line with these lines and then is silent.
pub fn scripted(lines: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut command = String::new();
        BufReader::new(&stream)
            .read_line(&mut command)
            .expect("a command");
        stream.write_all(lines.as_bytes()).expect("it reads");
        // Until the client leaves.
        let _ = stream.read(&mut [0]);
    });
    address
}

/// What a service sends to a watcher that has lagged in between and got a snapshot again.
pub const LAGGED: &str = r#"{"index":7,"services":[{"type":"a","ip":"10.0.0.1","port":1},{"type":"a","ip":"10.0.0.1","port":1}]}
{"index":8,"up":[{"type":"a","ip":"::1","port":2}],"down":[{"type":"a","ip":"10.0.0.1","port":1}]}
{"index":8}
{"index":90,"services":[{"type":"a","ip":"10.0.0.3","port":3},{"type":"a","ip":"::1","port":2}]}
{"index":91,"services":[{"type":"a","ip":"::1","port":2},{"type":"a","ip":"10.0.0.3","port":3}]}
{"index":92,"up":[],"down":[{"type":"a","ip":"::1","port":2}]}
"#;
