//! The whole service over loopback: the release binary, one connection, a number of commands in
//! flight. `cargo bench --bench server`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// The service on a free port; stopped when dropped.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_discovery"))
            .args(["--listen", "127.0.0.1:0", "--ttl", "86400"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the service starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the service announces its address");
        let address = line
            .trim_end()
            .strip_prefix("listening on ")
            .expect("an address")
            .to_owned();
        Service { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the service accepts");
        stream.set_nodelay(true).expect("loopback takes options");
        stream
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `commands` and reads an answer line for each into `answers`.
fn exchange(stream: &mut TcpStream, commands: &[u8], lines: usize, answers: &mut Vec<u8>) {
    stream.write_all(commands).expect("the service reads");
    answers.clear();
    let mut buffer = [0; 64 * 1024];
    let mut seen = 0;
    while seen < lines {
        let n = stream.read(&mut buffer).expect("the service answers");
        assert_ne!(n, 0, "the service keeps the connection");
        seen += buffer[..n].iter().filter(|&&byte| byte == b'\n').count();
        answers.extend_from_slice(&buffer[..n]);
    }
}

fn bench(c: &mut Criterion) {
    let service = Service::start();
    let mut stream = service.connect();
    let mut answers = Vec::new();
    let mut register = String::new();
    for port in 1..=10 {
        register += &format!("register hive 127.0.0.1 {port}\n");
    }
    exchange(&mut stream, register.as_bytes(), 10, &mut answers);
    let uuids: Vec<String> = String::from_utf8_lossy(&answers)
        .lines()
        .map(str::to_owned)
        .collect();

    let mut group = c.benchmark_group("server");
    for in_flight in [1, 16] {
        group.throughput(Throughput::Elements(in_flight as u64));
        let heartbeats: String = uuids
            .iter()
            .cycle()
            .take(in_flight)
            .map(|uuid| format!("heartbeat {uuid}\n"))
            .collect();
        group.bench_function(BenchmarkId::new("heartbeat", in_flight), |b| {
            b.iter(|| exchange(&mut stream, heartbeats.as_bytes(), in_flight, &mut answers));
        });
        assert!(
            answers.starts_with(b"OK\n"),
            "heartbeats were measured, not errors"
        );
        let queries = "query hive\n".repeat(in_flight);
        group.bench_function(BenchmarkId::new("query of 10", in_flight), |b| {
            b.iter(|| exchange(&mut stream, queries.as_bytes(), in_flight, &mut answers));
        });
        assert!(
            answers.starts_with(b"[{\"ip\""),
            "services were measured, not an empty list"
        );
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
