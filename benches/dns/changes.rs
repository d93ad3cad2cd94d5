//! A type of many services that changes all the time while it is asked for.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::RATE;
use crate::load::Load;
use crate::queries;
use crate::servers::Server;

const SERVICES: usize = 1000;
/// Of the type in a second.
const CHANGES: u32 = 100;

/// How long the slowest answer takes, and what the kept answers take.
pub(crate) fn longest_answer(rounds: u64, time: Duration) {
    let server = Server::discovery();
    server.register("hive", SERVICES);
    let questions = [
        ("A", queries::addresses("hive.service.internal")),
        ("SRV", queries::services("_hive._tcp.service.internal")),
    ];
    println!(
        "A type of {SERVICES} that changes {CHANGES} times a second, {RATE} queries a second\n"
    );
    println!(
        "| question | changes | answered | longest answer of each round (longest pause of the load), ms |"
    );
    println!("|---|---|---|---|");
    let memory = server.memory();
    for (question, query) in questions {
        let mut load = Load::connect(server.address, &query, 1);
        let mut changer = Changer::new(&server);
        let mut longest = Vec::new();
        let (mut asked, mut answered) = (0, 0);
        for _ in 0..rounds {
            let sample = load.run(RATE, time, || changer.change_when_due());
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            let (answer, pause) = (millis(sample.longest), millis(sample.longest_pause));
            longest.push(format!("{answer:.1} ({pause:.1})"));
            asked += sample.asked;
            answered += sample.answered;
        }
        let part = 100.0 * answered as f64 / asked as f64;
        let changes = changer.changes;
        println!(
            "| {question} | {changes} | {part:.2} % | {} |",
            longest.join(", ")
        );
    }
    let more = server.memory().saturating_sub(memory) / 1024;
    println!("\nown memory: {more} KiB more than before the first query\n");
}

/// Registers one more service and removes it, again and again.
struct Changer {
    stream: std::net::TcpStream,
    answer: Vec<u8>,
    next: Instant,
    changes: u64,
}

impl Changer {
    fn new(server: &Server) -> Changer {
        let stream = server.connect();
        stream.set_nonblocking(true).expect("an option");
        Changer {
            stream,
            answer: Vec::new(),
            next: Instant::now(),
            changes: 0,
        }
    }

    fn change_when_due(&mut self) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + Duration::from_secs(1) / CHANGES;
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("the server closed a connection"),
            Ok(n) => self.answer.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("the connection broke: {error}"),
        }
        let command = match self.answer.split(|&byte| byte == b'\n').next() {
            Some(uuid) if uuid.len() == 36 => {
                format!("deregister {}\n", String::from_utf8_lossy(uuid))
            }
            _ => "register hive 10.9.9.9 8080\n".to_owned(),
        };
        self.answer.clear();
        self.changes += 1;
        self.stream.write_all(command.as_bytes()).expect("it reads");
    }
}
