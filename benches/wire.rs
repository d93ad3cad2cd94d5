//! Both codecs: from bytes to a command, and from an answer to bytes. `cargo bench --bench wire`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use discovery_service::limits::LINE_LEN_MAX;
use discovery_service::message::{Reply, ServiceAddress, Services};
use discovery_service::wire::output::Output;
use discovery_service::wire::{Codec, Decoded};
use std::rc::Rc;
use uuid::Uuid;

const PIPELINED: usize = 128;
const UUID: &str = "3999da30-2a11-463a-be8e-6b2beca7bfe6";

/// Decodes everything in `input`; returns the number of commands.
fn decode(codec: &mut Codec, input: &[u8]) -> usize {
    let mut used = 0;
    let mut commands = 0;
    loop {
        let step = codec.decode(&input[used..]);
        used += step.consumed;
        match black_box(step.decoded) {
            Decoded::Incomplete => return commands,
            Decoded::Command(_) => commands += 1,
            other => panic!("{other:?}"),
        }
    }
}

fn frame(content: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8", "content-length": {}}}"#,
        content.len()
    );
    [
        &(header.len() as u16).to_be_bytes()[..],
        header.as_bytes(),
        content.as_bytes(),
    ]
    .concat()
}

fn lines(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode 128 lines");
    group.throughput(Throughput::Elements(PIPELINED as u64));
    let commands = [
        ("heartbeat", format!("heartbeat {UUID}\n")),
        ("query", "query hive\n".to_owned()),
        ("register", "register hive 127.0.0.1 65433\n".to_owned()),
    ];
    for (name, command) in commands {
        let input = command.repeat(PIPELINED).into_bytes();
        let mut codec = Codec::default();
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(decode(&mut codec, &input), PIPELINED))
        });
    }
    group.finish();
}

/// Lines as long as they may be, of as many words as they hold or of none: a byte of them costs about
/// what a byte of a command does, so that the time is linear in their length.
fn longest_lines(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode 16 of the longest lines");
    let longest = [
        ("one word", "x".repeat(LINE_LEN_MAX)),
        ("words", "x ".repeat(LINE_LEN_MAX / 2)),
        ("blanks", " ".repeat(LINE_LEN_MAX)),
        ("half", " ".repeat(LINE_LEN_MAX / 2)),
        ("nothing", String::new()),
    ];
    for (name, line) in longest {
        let input = [b"ping\n", format!("{line}\n").repeat(16).as_bytes()].concat();
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let (mut codec, mut used) = (Codec::default(), 0);
                while used < input.len() {
                    used += codec.decode(black_box(&input[used..])).consumed;
                }
            })
        });
    }
    group.finish();
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode a frame");
    let contents = [
        (
            "heartbeat",
            format!(r#"{{"action": "heartbeat", "uuid": "{UUID}"}}"#),
        ),
        ("query", r#"{"action": "query", "type": "hive"}"#.to_owned()),
        (
            "register",
            r#"{"action": "register", "type": "hive", "ip": "127.0.0.1", "port": 65433}"#
                .to_owned(),
        ),
    ];
    for (name, content) in contents {
        let input = frame(&content);
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(decode(&mut Codec::default(), &input), 1))
        });
    }
    group.finish();
}

fn answers(c: &mut Criterion) {
    let addresses =
        (1..=10).map(|port| ServiceAddress::new("127.0.0.1", port).expect("an address"));
    let services = Rc::new(Services::new(addresses.collect()));
    let replies = [
        ("OK", Reply::Ok),
        (
            "a UUID",
            Reply::Registered(Uuid::try_parse(UUID).expect("a UUID")),
        ),
        ("10 services", Reply::Services(services)),
    ];
    for (format, first_byte) in [("line", b"x"), ("frame", b"\0")] {
        let mut codec = Codec::default();
        codec.decode(first_byte);
        let mut group = c.benchmark_group(format!("encode a {format}"));
        for (name, reply) in &replies {
            let mut output = Output::default();
            group.bench_function(*name, |b| {
                b.iter(|| {
                    codec.encode(reply, &mut output);
                    output.advance(output.front().len());
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, lines, longest_lines, frames, answers);
criterion_main!(benches);
