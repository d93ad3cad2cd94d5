//! A Chromium without a window, driven by WebDriver (<https://www.w3.org/TR/webdriver2/>) over plain HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::AssertUnwindSafe;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Captured, free_port, tool, wait_until};

/// How long the driver may take for one command; the first starts the browser.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(90);

/// A window with room for all panels.
const WINDOW: &str = "--window-size=1280,900";

/// One at a time: a browser is many processes.
static ONE: Mutex<()> = Mutex::new(());

/// A browser with one tab; it ends when this is dropped.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    /// The path of the session.
    session: String,
    _one: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts one. Where Chromium or its driver is not installed it says so, and the test is skipped.
    pub fn start() -> Option<Self> {
        let (mut driver, chromium) = (tool("chromedriver")?, tool("chromium")?);
        let chromium = chromium.get_program().to_str().expect("a path in UTF-8");
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        // It must have the same port of IPv4 and of IPv6; one that it chooses itself may be taken in one of them.
        let port = free_port();
        let mut driver = driver
            .arg(format!("--port={port}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let said = Captured::new(driver.stdout.take().expect("it is piped"));
        wait_until("the driver listens", || {
            let said = said.text();
            assert!(!said.contains("Exiting"), "{said}");
            said.contains("started successfully").then_some(())
        });
        let mut browser = Browser {
            driver,
            address: ([127, 0, 0, 1], port).into(),
            session: String::new(),
            _one: one,
        };
        // Root and containers have no use of the sandbox.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", WINDOW];
        let options = json!({"binary": chromium, "args": arguments});
        let capabilities =
            json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = browser.command("POST", "/session", &capabilities);
        let id = session["sessionId"].as_str().expect("an id");
        browser.session = format!("/session/{id}");
        Some(browser)
    }

    /// Opens an address.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// Runs a script in the page; returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression of a script is true.
    pub fn until(&self, expression: &str) {
        wait_until(expression, || {
            let is_so = self.run(&format!("return Boolean({expression})"));
            (is_so == true).then_some(())
        });
    }

    /// The text of what a selector finds first.
    pub fn text(&self, selector: &str) -> String {
        let text = self.run(&format!(
            "return document.querySelector(`{selector}`).textContent"
        ));
        text.as_str().expect("a text").to_owned()
    }

    /// Presses keys, one after the other.
    pub fn press(&self, keys: &str) {
        let events = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}))
        });
        let keyboard = json!({"type": "key", "id": "keys", "actions": Vec::from_iter(events)});
        self.post("/actions", &json!({"actions": [keyboard]}));
    }

    /// Hides the window, or shows it again.
    pub fn hide(&self) {
        self.post("/window/minimize", &json!({}));
    }

    pub fn show(&self) {
        self.post("/window/rect", &json!({"width": 1280, "height": 900}));
    }

    /// A command of Chromium's own protocol, for what WebDriver cannot do.
    pub fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", &body);
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.command("POST", &format!("{}{path}", self.session), body)
    }

    /// Sends a command, and returns the value that it is answered with.
    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(self.address).expect("the driver accepts");
        stream
            .set_read_timeout(Some(COMMAND_TIME_MAX))
            .expect("an option");
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all((head + &body).as_bytes())
            .expect("it reads");
        let mut reader = BufReader::new(stream);
        let mut len = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("it answers");
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    len = value.trim().parse().expect("a number");
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; len];
        reader.read_exact(&mut body).expect("it answers");
        let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "{path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session, and would outlive its driver. A second panic would end
        // the whole run.
        let end = AssertUnwindSafe(|| self.command("DELETE", &self.session, &json!({})));
        let _ = std::panic::catch_unwind(end);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
