//! A service that answers what a test prescribes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

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

/// A service that answers one line after the other with these, on one connection after the other. Returns
/// its address, and the commands.
pub fn conversation(answers: &'static [&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let (heard, commands) = channel();
    std::thread::spawn(move || {
        let mut answers = answers.iter().peekable();
        while answers.peek().is_some() {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let mut command = String::new();
            while reader.read_line(&mut command).expect("a command") > 0 {
                let Some(answer) = answers.next() else { break };
                // A test that has seen enough does not listen any more.
                let _ = heard.send(command.trim_end().to_owned());
                stream.write_all(answer.as_bytes()).expect("it reads");
                command.clear();
            }
        }
    });
    (address, commands)
}

/// What a service sends to a watcher that has lagged in between and got a snapshot again.
pub const LAGGED: &str = r#"{"index":7,"services":[{"type":"a","ip":"10.0.0.1","port":1},{"type":"a","ip":"10.0.0.1","port":1}]}
{"index":8,"up":[{"type":"a","ip":"::1","port":2}],"down":[{"type":"a","ip":"10.0.0.1","port":1}]}
{"index":8}
{"index":90,"services":[{"type":"a","ip":"10.0.0.3","port":3},{"type":"a","ip":"::1","port":2}]}
{"index":91,"services":[{"type":"a","ip":"::1","port":2},{"type":"a","ip":"10.0.0.3","port":3}]}
{"index":92,"up":[],"down":[{"type":"a","ip":"::1","port":2}]}
"#;
