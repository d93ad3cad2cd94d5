//! Hostile peers, and peers that speak another protocol.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::common::{Client, Frame, Service, exchange};

const OTHER_HTTP: &str = "ERROR HTTP is spoken here in its versions 1.0 and 1.1, from the first line of a connection on\n";
const REGISTER: &str = "register late 10.0.0.1 1\n";

/// The answer to this input, sent in these pieces; no command in it may be run.
fn opening(service: &Service, pieces: &[&[u8]]) -> String {
    let mut client = service.connect();
    for piece in pieces {
        client.try_send(piece);
    }
    let answer = client.text();
    assert_eq!(
        service.connect().ask("query late"),
        "[]",
        "what follows is not run"
    );
    answer
}

#[test]
fn row_19_behind_the_opening_of_http_no_line_is_a_command_whole_and_split() {
    let service = Service::start(&[]);
    let requests = [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /register HTTP/1.1\r\nContent-Length: 24\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
        // A method may be a verb of ours: QUERY is one of HTTP, and fetch() takes any.
        "QUERY / HTTP/1.1\r\n\r\n",
        "register / HTTP/1.1\r\n\r\n",
        "HEARTBEAT http://localhost/ HTTP/1.1\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET /\r\n",
    ];
    let others = [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\r\nget / http HTTP/1.0\n",
        "get http://localhost/\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ];
    for start in requests.into_iter().chain(others) {
        let input = format!("{start}{REGISTER}");
        let whole = opening(&service, &[input.as_bytes()]);
        if others.contains(&start) {
            assert_eq!(whole, OTHER_HTTP, "{start:?}");
        } else {
            assert!(whole.starts_with("HTTP/1.1 "), "{start:?}: {whole}");
            assert!(
                whole.contains("\r\nConnection: close\r\n"),
                "{start:?}: {whole}"
            );
        }
        for cut in [1, 3, start.len() / 2, start.len() - 1, start.len()] {
            let (a, b) = input.as_bytes().split_at(cut);
            assert_eq!(opening(&service, &[a, b]), whole, "{start:?} cut at {cut}");
        }
    }
    let log = service.log();
    assert!(
        log.lines().all(|line| line.contains(" is ready: ")),
        "the log does not flood: {log}"
    );
}

#[test]
fn row_19_only_the_first_line_can_be_an_http_request() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    assert_eq!(client.ask("query HTTP/1.1"), "[]");
    assert_eq!(
        client.ask("GET / HTTP/1.1"),
        "ERROR unknown command: help lists the commands"
    );
    assert_eq!(client.ask("query hive"), "[]");
}

#[test]
fn row_20_openings_of_other_line_protocols_are_refused_whole_and_split() {
    let service = Service::start(&[]);
    let openings = [
        "CLIENT libcurl 7\r\n",
        "client libcurl 7\n",
        "EHLO x\r\n",
        "HELO x\r\n",
        "*1\r\n$4\r\nPING\r\n",
        "SSH-2.0-x\r\n",
        "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
        "USER anonymous\r\n",
        "STOMP\n\n",
        // Methods that are verbs of ours, too.
        "REGISTER sip:example.com SIP/2.0\r\n\r\n",
        "OPTIONS rtsp://example.com/ RTSP/1.0\r\n\r\n",
        "\r\nRTSP/1.0 200 OK\r\n\r\n",
    ];
    const NOT_OURS: &str = "ERROR this is the opening of another protocol: send one command a line, such as: query <type>\n";
    for start in openings {
        let input = format!("{start}{REGISTER}");
        let input = input.as_bytes();
        assert_eq!(opening(&service, &[input]), NOT_OURS, "{start:?}");
        for cut in [1, start.len() / 2, start.len()] {
            let (a, b) = input.split_at(cut);
            assert_eq!(
                opening(&service, &[a, b]),
                NOT_OURS,
                "{start:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn row_20_no_command_of_ours_is_taken_for_another_protocol() {
    let service = Service::start(&[]);
    for (line, answer) in [
        ("PING", "PONG"),
        ("query HTTP/1.1", "[]"),
        ("QUERY sip/2.0", "[]"),
        ("list /", "[]"),
        ("Query http://x", "[]"),
        ("query *1", "[]"),
        ("heartbeat SSH-2.0-x", "NOT FOUND"),
        ("bogus", "ERROR unknown command: help lists the commands"),
        ("x y", "ERROR unknown command: help lists the commands"),
        ("*", "ERROR unknown command: help lists the commands"),
    ] {
        let mut client = service.connect();
        assert_eq!(client.ask(line), answer, "{line}");
        assert_eq!(client.ask("query hive"), "[]", "behind {line}");
    }
}

#[test]
fn row_20_tls_and_proxy_headers_are_refused() {
    let service = Service::start(&[]);
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let input = [&tls[..], b"\n", REGISTER.as_bytes()].concat();
    assert_eq!(
        opening(&service, &[&input]),
        "ERROR TLS is not spoken here: connect in plain text\n"
    );
    let mut client = service.connect();
    client.send(&tls[..1]);
    client.send(&tls[1..2]);
    assert_eq!(
        client.text(),
        "ERROR TLS is not spoken here: connect in plain text\n",
        "refused before a line end"
    );

    let proxy = "ERROR PROXY protocol headers are not accepted\n";
    let v1 = format!("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n{REGISTER}");
    let v2 = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        REGISTER.as_bytes(),
    ]
    .concat();
    for input in [v1.as_bytes(), &v2] {
        assert_eq!(opening(&service, &[input]), proxy);
        for cut in 1..12 {
            assert_eq!(
                opening(&service, &[&input[..cut], &input[cut..]]),
                proxy,
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn row_06_a_mebibyte_without_a_line_end_is_refused_and_the_answer_can_be_read() {
    let service = Service::start(&[]);
    let before = service.status_kb("RssAnon");
    for _ in 0..20 {
        let mut client = service.connect();
        // The service drains what comes behind its answer, so that writing on is no error.
        client.send(vec![b'x'; 1024 * 1024]);
        client.send("\n");
        client.send(REGISTER);
        assert_eq!(client.text(), "ERROR line too long\n");
    }
    assert!(
        service.status_kb("RssAnon") < before + 1024,
        "memory does not grow with the line"
    );
    assert_eq!(service.connect().ask("query late"), "[]");
}

#[test]
fn row_11_header_lengths_out_of_range_are_refused() {
    let service = Service::start(&[]);
    let empty = Frame::parse(&exchange(service.address(), &[0, 0]));
    assert_eq!(
        (empty.content.as_str(), empty.header["error"].as_str()),
        ("ERROR", Some("the header is empty"))
    );
    // The first byte of these lengths says text.
    let mut client = service.connect();
    client.send([0x08, 0x00]);
    assert_eq!(
        client.text(),
        "ERROR a frame begins with the length of its header: 2 bytes, big-endian\n"
    );
    client = service.connect();
    client.send([0xff, 0xff]);
    client.send(b"\n");
    assert_eq!(client.line(), "ERROR the line is not valid UTF-8");
}

#[test]
fn row_04_ten_thousand_resets_in_the_middle_of_a_reply_disturb_no_other_connection() {
    let service = Service::start(&[]);
    let mut witness = service.connect();
    for port in 1..=20 {
        witness.register("hive", "10.0.0.1", port);
    }
    let expected = witness.ask("query hive");
    let queries = "query hive\n".repeat(10);
    for i in 0..10_000 {
        let mut client = service.connect();
        client.send(&queries);
        client.reset();
        if i % 500 == 0 {
            assert_eq!(witness.ask("query hive"), expected);
        }
    }
    assert_eq!(witness.ask("query hive"), expected);
    crate::common::wait_until("the broken connections are gone", || {
        (service.open_files() < 20).then_some(())
    });
}

#[test]
fn row_17_a_hundred_thousand_commands_in_one_write_are_answered_in_order_and_starve_no_other() {
    let service = Service::start(&[]);
    let mut witness = service.connect();
    let uuid = witness.register("hive", "10.0.0.1", 1);
    let commands = 100_000;
    let input: String = (0..commands)
        .map(|i| {
            if i % 2 == 0 {
                "heartbeat x\n"
            } else {
                "query nobody\n"
            }
        })
        .collect();
    let mut flood = service.connect();
    let mut sender = flood.stream().try_clone().expect("a second handle");
    let sending = std::thread::spawn(move || {
        sender
            .write_all(input.as_bytes())
            .expect("the service reads")
    });
    let reading = std::thread::spawn(move || {
        for i in 0..commands {
            assert_eq!(
                flood.line(),
                if i % 2 == 0 { "NOT FOUND" } else { "[]" },
                "answer {i}"
            );
        }
    });
    // This measures no speed: without a budget, one turn would take as long as the whole flood.
    let mut slowest = Duration::ZERO;
    while !reading.is_finished() {
        let begun = Instant::now();
        assert_eq!(witness.ask(&format!("heartbeat {uuid}")), "OK");
        slowest = slowest.max(begun.elapsed());
    }
    sending.join().expect("all was sent");
    reading.join().expect("all was answered in order");
    assert!(
        slowest < Duration::from_secs(1),
        "a heartbeat took {slowest:?}"
    );
}

#[test]
fn row_24_fifty_thousand_connects_are_all_served() {
    let service = Service::start(&[]);
    let mut witness = service.connect();
    for i in 0..50_000 {
        let mut client = service.connect();
        if i % 100 == 0 {
            assert_eq!(client.ask("query hive"), "[]");
            assert_eq!(witness.ask("query hive"), "[]");
        }
        // Without a reset, connections in TIME_WAIT would use up the ports of this host.
        client.reset();
    }
    assert_eq!(witness.ask("query hive"), "[]");
}

#[test]
fn row_41_the_answer_to_a_guessed_uuid_tells_live_from_not_live_only() {
    let service = Service::start(&["--ttl", "1", "--tick", "10"]);
    let mut client = service.connect();
    let expired = client.register("hive", "10.0.0.1", 1);
    crate::common::wait_until("it expires", || {
        (client.ask("query hive") == "[]").then_some(())
    });
    let live = client.register("hive", "10.0.0.1", 1);
    let one_off = live.replace(&live[35..], if live.ends_with('0') { "1" } else { "0" });
    for guess in [
        expired.as_str(),
        &one_off,
        "00000000-0000-0000-0000-000000000000",
        "guess",
        &live[..35],
    ] {
        assert_eq!(
            client.ask(&format!("heartbeat {guess}")),
            "NOT FOUND",
            "{guess}"
        );
    }
    assert_eq!(client.ask(&format!("heartbeat {live}")), "OK");
}

#[test]
fn a_client_that_keeps_writing_after_a_fatal_error_is_closed_in_bounded_time() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    client.send("x".repeat(2_000));
    assert_eq!(client.line(), "ERROR line too long");
    let begun = Instant::now();
    crate::common::wait_until("the connection is closed", || {
        (!client.try_send(REGISTER)).then_some(())
    });
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "after {:?}",
        begun.elapsed()
    );
    assert_eq!(service.connect().ask("query late"), "[]");
}

#[test]
fn row_03_commands_behind_unread_answers_wait_until_the_answers_are_read() {
    let service = Service::start(&[]);
    let mut witness = service.connect();
    witness.register_many(2_000);
    // 14 MB of answers, more than the kernel's buffers take.
    let mut reader = service.connect();
    socket2::SockRef::from(reader.stream())
        .set_recv_buffer_size(64 * 1024)
        .expect("an option");
    reader.send("query hive\n".repeat(200) + REGISTER);
    for _ in 0..100 {
        assert_eq!(witness.ask("query late"), "[]");
    }
    let array = witness.ask("query hive");
    for i in 0..200 {
        assert_eq!(reader.line(), array, "answer {i}");
    }
    assert!(crate::common::is_uuid(&reader.line()));
    assert_eq!(witness.ask("query late"), r#"[{"ip":"10.0.0.1","port":1}]"#);
}

#[test]
fn a_client_that_keeps_writing_after_a_fatal_error_still_reads_it() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    client.send("x".repeat(2_000));
    for _ in 0..50 {
        client.send(REGISTER);
    }
    assert_eq!(client.text(), "ERROR line too long\n");
    drop(client);
    let mut polite: Client = service.connect();
    assert_eq!(polite.ask("query late"), "[]");
}
