//! curl.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Service, Talking, finish, tool, wait_until};

/// A service, and curl to ask it.
struct Curl {
    service: Service,
}

impl Curl {
    fn start() -> Option<Self> {
        tool("curl")?;
        let service = Service::start(&[]);
        Some(Curl { service })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tool("curl").expect("it was there");
        let root = format!("http://{}/", self.service.address());
        let arguments = arguments
            .iter()
            .map(|argument| argument.replace("/~/", &root));
        command.args(["-sS", "--max-time", "20"]).args(arguments);
        command
    }

    /// What it prints for these arguments, in which `/~/` stands for the service.
    fn prints(&self, arguments: &[&str]) -> String {
        let ended = finish(self.command(arguments));
        assert_eq!(ended.status, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    /// Begins to read a stream.
    fn stream(&self, arguments: &[&str]) -> Talking {
        Talking::spawn(self.command(&[&["-N"], arguments].concat()))
    }
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

const WEB: &str = r#"{"type":"web","ip":"10.0.0.1","port":80}"#;
const FOUND: &str = r#"[{"ip":"10.0.0.1","port":80}]"#;

#[test]
fn curl_registers_asks_and_deregisters() {
    let Some(curl) = Curl::start() else { return };
    let uuid = parsed(&curl.prints(&["/~/api/register", "-d", WEB]))["uuid"].clone();
    assert_eq!(curl.prints(&["/~/api/query?type=web"]).trim_end(), FOUND);
    let uuid = json!({ "uuid": uuid }).to_string();
    assert_eq!(
        parsed(&curl.prints(&["/~/api/deregister", "-d", &uuid])),
        json!({"ok": true})
    );
    assert_eq!(curl.prints(&["/~/api/query?type=web"]).trim_end(), "[]");
    assert_eq!(
        curl.prints(&[
            "/~/api/heartbeat",
            "-d",
            &uuid,
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}"
        ]),
        "404"
    );
}

#[test]
fn curl_watches_what_comes_and_goes() {
    let Some(curl) = Curl::start() else { return };
    let mut watch = curl.stream(&["/~/api/watch?type=web"]);
    assert_eq!(parsed(&watch.line())["services"], json!([]));
    let mut client = curl.service.connect();
    client.register("web", "10.0.0.1", 80);
    let line = watch.line();
    assert!(line.contains(r#""ip":"10.0.0.1","port":80"#), "{line}");

    let events = ["-H", "Accept: text/event-stream", "/~/api/watch?type=web"];
    let mut events = curl.stream(&events);
    let mut read = Vec::new();
    while read
        .last()
        .is_none_or(|line: &String| !line.starts_with("data: "))
    {
        read.push(events.line());
    }
    assert!(read.contains(&"event: services".to_owned()), "{read:?}");
}

#[test]
fn a_registration_that_curl_holds_lives_as_long_as_curl() {
    let Some(curl) = Curl::start() else { return };
    let mut hold = curl.stream(&["/~/api/hold", "-d", WEB]);
    assert!(parsed(&hold.line())["uuid"].is_string());
    let mut client = curl.service.connect();
    assert_eq!(client.ask("query web"), FOUND);
    hold.child.kill().expect("it runs");
    wait_until("its registration is gone", || {
        (client.ask("query web") == "[]").then_some(())
    });
}

#[test]
fn curl_keeps_its_connection_with_http_1_1_and_not_with_1_0() {
    let Some(curl) = Curl::start() else { return };
    let asked = [
        "/~/api/ping",
        "/~/health",
        "-w",
        "%{http_code} %{num_connects}\n",
    ];
    let kept = "{\"ok\":true}200 1\nOK\n200 0\n";
    let closed = "{\"ok\":true}200 1\nOK\n200 1\n";
    assert_eq!(curl.prints(&asked), kept);
    assert_eq!(curl.prints(&[&["-0"], &asked[..]].concat()), closed);
}

#[test]
fn curl_gets_the_head_of_an_answer_without_its_body() {
    let Some(curl) = Curl::start() else { return };
    let head = curl.prints(&["-I", "/~/openapi.json"]);
    let body = curl.prints(&["/~/openapi.json"]);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let len = format!("\r\nContent-Length: {}\r\n", body.len());
    assert!(head.contains(&len), "{head}");
}

#[test]
fn curl_waits_before_a_large_body_until_it_is_asked_for() {
    let Some(curl) = Curl::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, len: usize| {
        let path = folder.path().join(name);
        let body = WEB.to_owned() + &" ".repeat(len - WEB.len());
        std::fs::write(&path, body).expect("it is ours");
        format!("@{}", path.display())
    };
    // Curl itself asks before it sends more than a mebibyte; the wait would otherwise be a second.
    let (most, more) = (file("most", 60 << 10), file("more", 2 << 20));
    let asks = ["-H", "Expect: 100-continue", "--expect100-timeout", "15"];
    let sent = ["-o", "/dev/null", "-w", "%{http_code} %{size_upload}"];
    let send = |body: &str| {
        curl.prints(
            &[
                &["/~/api/register", "--data-binary", body],
                &asks[..],
                &sent[..],
            ]
            .concat(),
        )
    };
    assert_eq!(send(&most), "200 61440");
    assert_eq!(send(&more), "413 0");
}

#[test]
fn curl_sends_a_body_in_chunks() {
    let Some(curl) = Curl::start() else { return };
    let chunked = ["-H", "Transfer-Encoding: chunked", "-d", WEB];
    curl.prints(&[&["/~/api/register"], &chunked[..]].concat());
    assert_eq!(curl.prints(&["/~/api/query?type=web"]).trim_end(), FOUND);
}
