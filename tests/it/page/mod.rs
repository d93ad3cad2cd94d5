//! The page, in a real browser. Each test is skipped, and says so, where Chromium is not installed.

mod browser;

use std::io::Write;

use serde_json::{Value, json};

use crate::common::{Client, Service, path, private_file, wait_until};
use browser::Browser;

const PAGE: &str = include_str!("../../../src/page/index.html");
const STYLE: &str = include_str!("../../../src/page/page.css");
const SCRIPT: &str = include_str!("../../../src/page/page.js");

/// Keys as WebDriver names them.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const END: &str = "\u{e010}";
const LEFT: &str = "\u{e012}";
const DOWN: &str = "\u{e015}";

const IS_LIVE: &str = "document.body.dataset.state === 'live'";

/// The page of this service in a new browser, once it is live. None where there is no browser.
fn opened(service: &Service) -> Option<Browser> {
    let browser = Browser::start()?;
    browser.open(&url(service));
    browser.until(IS_LIVE);
    Some(browser)
}

fn url(service: &Service) -> String {
    format!("http://{}/", service.address())
}

/// Registrations that live as long as the connection.
fn hold(client: &mut Client, services: &[&str]) {
    for service in services {
        let uuid = client.ask(&format!("hold {service}"));
        assert!(!uuid.starts_with("ERROR"), "{uuid}");
    }
}

/// Waits until the table has these addresses, in this order.
fn until_rows(browser: &Browser, addresses: &[&str]) {
    let addresses = json!(addresses);
    browser.until(&format!(
        "JSON.stringify([...document.querySelectorAll('tr[data-id]')].map((row) => \
         row.children[1].textContent)) === JSON.stringify({addresses})"
    ));
}

/// The text of the newest entry of the log.
fn newest(browser: &Browser) -> String {
    browser.text("#log-list li")
}

#[test]
fn the_page_is_small_and_uses_nothing_but_its_own_and_no_markup_from_text() {
    assert!(PAGE.len() + STYLE.len() + SCRIPT.len() <= 64 * 1024);
    for file in [PAGE, STYLE, SCRIPT] {
        // The names of namespaces are no addresses.
        let file = file.replace("http://www.w3.org/2000/svg", "");
        for unwanted in ["https://", "http://", "@import", "url("] {
            assert!(!file.contains(unwanted), "{unwanted}");
        }
    }
    for unwanted in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "localStorage",
        "cookie",
    ] {
        assert!(!SCRIPT.contains(unwanted), "{unwanted}");
    }
    assert!(!PAGE.contains(" style="), "the policy lets no such thing");
    let (_, without_script) = PAGE.split_once("<noscript>").expect("it says so");
    assert!(without_script.contains("href=\"/api/list\""));
    assert!(PAGE.contains("<div id=\"app\" hidden>"));
}

#[test]
fn what_comes_and_goes_shows_at_once_with_its_reason_and_can_be_searched() {
    let service = Service::start(&[]);
    let Some(browser) = opened(&service) else {
        return;
    };
    browser.until("!document.querySelector('#empty').hidden");
    let ways = browser.text("#ways");
    assert_eq!(ways.matches(&service.address().to_string()).count(), 2);

    let mut first = service.connect();
    let mut second = service.connect();
    hold(
        &mut first,
        &[
            "web 10.0.0.10 80 tag=blue meta.version=2",
            "web 10.0.0.9 80",
            "db 2001:db8::1 5432",
        ],
    );
    hold(&mut second, &["web 10.0.0.8 80"]);
    until_rows(
        &browser,
        &[
            "[2001:db8::1]:5432",
            "10.0.0.8:80",
            "10.0.0.9:80",
            "10.0.0.10:80",
        ],
    );
    browser.until("document.querySelector('tr[data-id]').textContent.includes('connection')");
    assert_eq!(browser.text("#live-count"), "4");
    assert!(newest(&browser).contains("▲"));

    drop(second);
    browser.until("document.querySelector('tr.is-gone')?.textContent.includes('10.0.0.8:80')");
    assert!(newest(&browser).ends_with("10.0.0.8:80connection closed"));
    browser.until("document.querySelectorAll('#chart [role=img] .down').length === 1");
    // What has gone stays for 10 s.
    until_rows(
        &browser,
        &["[2001:db8::1]:5432", "10.0.0.9:80", "10.0.0.10:80"],
    );

    let uuid = first.register("late", "10.0.0.7", 80);
    first.ask(&format!("update {uuid} tag=green"));
    browser.until("document.querySelector('#log-list').textContent.includes('new tags')");

    browser.open(&format!("{}#q=version%3D2", url(&service)));
    until_rows(&browser, &["10.0.0.10:80"]);
    browser.run("location.hash = '#type=web'");
    until_rows(&browser, &["10.0.0.9:80", "10.0.0.10:80"]);
    let current = browser.text("#types [aria-current]");
    assert!(current.starts_with("web"), "{current}");
}

#[test]
fn a_lost_connection_is_said_so_and_found_again() {
    let service = Service::start(&[]);
    let address = service.address().to_string();
    let mut holder = service.connect();
    hold(&mut holder, &["web 10.0.0.1 80", "db 10.0.0.2 80"]);
    let Some(browser) = opened(&service) else {
        return;
    };
    until_rows(&browser, &["10.0.0.2:80", "10.0.0.1:80"]);
    drop(service);
    browser.until("document.body.dataset.state === 'lost'");
    // It says for how long, with the next beat of its clock.
    browser.until(
        "document.querySelector('#banner-text').textContent.startsWith('Not connected for ')",
    );
    until_rows(&browser, &["10.0.0.2:80", "10.0.0.1:80"]);

    // One of its clients comes back under a new id, and the other does not.
    let service = Service::start(&["--listen", &address]);
    let mut holder = service.connect();
    hold(&mut holder, &["web 10.0.0.1 80"]);
    browser.until(IS_LIVE);
    browser.until("document.querySelector('#banner').hidden");
    browser.until("document.querySelector('#log-list').childElementCount > 0");
    assert!(newest(&browser).ends_with("10.0.0.2:80gone while not connected"));
    assert_eq!(
        browser.run("return document.querySelector('#log-list').childElementCount"),
        1
    );
    until_rows(&browser, &["10.0.0.1:80"]);
}

#[test]
fn a_hidden_tab_uses_no_connection() {
    let service = Service::start(&[]);
    let Some(browser) = opened(&service) else {
        return;
    };
    let watchers = |expected: u64| {
        wait_until("so many watch", || {
            let stats: Value = serde_json::from_str(&service.connect().ask("stats")).expect("JSON");
            (stats["watchers"] == expected).then_some(())
        });
    };
    watchers(1);
    browser.hide();
    watchers(0);
    let mut holder = service.connect();
    hold(&mut holder, &["web 10.0.0.1 80"]);
    browser.show();
    until_rows(&browser, &["10.0.0.1:80"]);
    watchers(1);
    assert!(newest(&browser).ends_with("came while not connected"));
}

#[test]
fn what_clients_chose_is_shown_as_text() {
    let service = Service::start(&[]);
    let long = "w".repeat(63);
    let marks = "a\u{301}".repeat(21);
    let names = [
        "<img/src=x/onerror=document.title=1>",
        "evil\u{202e}gpj.exe",
        "\u{200b}",
        "שלום",
        "${location}",
        "constructor",
        &long,
        &marks,
    ];
    let mut client = service.connect();
    for name in names {
        let answer = client.ask(&format!(
            "hold {name} 10.0.0.1 80 tag=<b>{name} meta.k=</td><script>{name}"
        ));
        assert!(!answer.starts_with("ERROR"), "{answer}");
    }
    let Some(browser) = opened(&service) else {
        return;
    };
    browser.until(&format!(
        "document.querySelectorAll('tr[data-id]').length === {}",
        names.len()
    ));
    assert_eq!(
        browser.run("return document.querySelectorAll('img, td b, td script').length"),
        0
    );
    let shown = browser.run(
        "return [...document.querySelectorAll('td.type')].map((cell) => cell.textContent).sort()",
    );
    let mut expected = names.map(|name| {
        name.replace('\u{202e}', "\\u{202e}")
            .replace('\u{200b}', "\\u{200b}")
    });
    expected.sort_by_key(|name| name.encode_utf16().collect::<Vec<u16>>());
    assert_eq!(shown, json!(expected));
    for name in names {
        let chosen = browser.run(&format!(
            "const link = [...document.querySelectorAll('#types a')][{}]; link.click();
             return new URLSearchParams(location.hash.slice(1)).get('type')",
            1 + names
                .iter()
                .filter(|other| {
                    other.encode_utf16().collect::<Vec<u16>>()
                        < name.encode_utf16().collect::<Vec<u16>>()
                })
                .count()
        ));
        assert_eq!(chosen, json!(name));
        browser.until("document.querySelectorAll('tr[data-id]').length === 1");
        browser.run("location.hash = ''");
        browser.until(&format!(
            "document.querySelectorAll('tr[data-id]').length === {}",
            names.len()
        ));
    }
    // A word that cannot be broken makes nothing wider than the window.
    let overflow = browser
        .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(overflow, 0);
}

#[test]
fn of_a_thousand_registrations_only_those_in_sight_are_drawn() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    let lines: String = (0..1_000)
        .map(|n| {
            format!(
                "register t{:02} 10.0.{}.{} 80\n",
                n % 25,
                n / 250,
                n % 250 + 1
            )
        })
        .collect();
    client.send(lines);
    (0..1_000).for_each(|_| drop(client.line()));
    let Some(browser) = opened(&service) else {
        return;
    };
    browser.until("document.querySelector('#live-count').textContent === '1,000'");
    browser.until("document.querySelector('table').ariaRowCount === '1001'");
    let drawn = browser.run("return document.querySelectorAll('tr[data-id]').length");
    assert!(
        (10..100).contains(&drawn.as_u64().expect("a number")),
        "{drawn}"
    );
    browser.run("document.querySelector('tr[data-id]').focus()");
    browser.press(END);
    browser.until("document.activeElement.ariaRowIndex === '1001'");
    let address = browser.run("return document.activeElement.children[1].textContent");
    assert_eq!(address, "10.0.3.250:80");
    let drawn = browser.run("return document.querySelectorAll('tr[data-id]').length");
    assert!(drawn.as_u64().expect("a number") < 100, "{drawn}");
}

#[test]
fn everything_can_be_done_with_the_keyboard_alone() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    hold(
        &mut client,
        &["api 10.0.0.1 80", "web 10.0.0.2 80 tag=blue"],
    );
    let Some(browser) = opened(&service) else {
        return;
    };
    until_rows(&browser, &["10.0.0.1:80", "10.0.0.2:80"]);
    browser.press("/blue");
    until_rows(&browser, &["10.0.0.2:80"]);
    browser.press(ESCAPE);
    until_rows(&browser, &["10.0.0.1:80", "10.0.0.2:80"]);

    // The list of types is one stop of the Tab key.
    browser.press(&[TAB, DOWN, DOWN, ENTER].concat());
    until_rows(&browser, &["10.0.0.2:80"]);
    assert_eq!(browser.run("return location.hash"), "#type=web");
    browser.press(ESCAPE);
    until_rows(&browser, &["10.0.0.1:80", "10.0.0.2:80"]);

    wait_until("Tab reaches a row", || {
        browser.press(TAB);
        (browser.run("return document.activeElement.tagName") == "TR").then_some(())
    });
    browser.press(DOWN);
    // Rows stay in their places while the focus is among them.
    hold(&mut client, &["api 10.0.0.3 80"]);
    browser.until("!document.querySelector('#more').hidden");
    until_rows(&browser, &["10.0.0.1:80", "10.0.0.2:80"]);
    browser.press(ENTER);
    browser.until("document.querySelector('#details').open");
    assert_eq!(browser.text("#details-title"), "10.0.0.2:80");
    browser.press(ESCAPE);
    browser.until("!document.querySelector('#details').open");
    browser.press("c");
    browser.until("document.querySelector('#toast').textContent === 'Copied 10.0.0.2:80'");

    browser.until("document.querySelector('#chart [role=img]')");
    browser.run("document.querySelector('#chart [tabindex=\"0\"]').focus()");
    browser.press(LEFT);
    browser.until("document.querySelector('#legend').textContent.includes('▲ came: ')");
    browser.until("document.querySelector('#said').textContent.includes('api 10.0.0.3:80 came')");
}

#[test]
fn a_token_that_is_no_longer_valid_is_asked_for_and_kept_for_the_tab_only() {
    let mut file = private_file("first\n");
    let service = Service::start(&["--token-file", path(&file)]);
    let Some(browser) = Browser::start() else {
        return;
    };
    // As if the browser had asked for it.
    browser.open(&format!("http://any:first@{}/", service.address()));
    browser.until(IS_LIVE);
    file.as_file().set_len(0).expect("it is ours");
    std::io::Seek::rewind(&mut file).expect("it is ours");
    file.write_all(b"second\n").expect("it is ours");
    service.signal("HUP");
    browser.until("document.querySelector('#token').open");
    let enter = |token: &str| {
        browser.run(&format!(
            "document.querySelector('#token-input').value = '{token}';
             document.querySelector('#token form').requestSubmit()"
        ));
    };
    enter("third");
    browser.until("!document.querySelector('#token-wrong').hidden");
    assert_eq!(browser.run("return sessionStorage.length"), 0);
    enter("second");
    browser.until(IS_LIVE);
    assert_eq!(
        browser.run("return sessionStorage.getItem('token')"),
        "second"
    );
    assert_eq!(
        browser.run("return [document.cookie, localStorage.length]"),
        json!(["", 0])
    );
}

/// Returns the texts of the page whose contrast with what is behind them is below 4.5, of those
/// that can be seen (<https://www.w3.org/TR/WCAG21/#contrast-minimum>).
const PALE: &str = r#"
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const over = (colours) => {
      canvas.clearRect(0, 0, 1, 1);
      for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
      return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    const light = (colour) => {
      const [r, g, b] = colour.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const pale = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const text = walk.currentNode.textContent.trim();
      const element = walk.currentNode.parentElement;
      if (!text || !element.checkVisibility() || element.closest("svg, .unseen, caption, option")) continue;
      const behind = [];
      for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
      const [a, b] = [over(behind), over([...behind, getComputedStyle(element).color])].map(light);
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < 4.5) pale.push(`${text}: ${contrast.toFixed(2)}`);
    }
    return pale;
"#;

#[test]
fn it_is_readable_in_light_and_dark_and_in_a_narrow_window() {
    let service = Service::start(&[]);
    let mut client = service.connect();
    hold(
        &mut client,
        &[
            "api 2001:db8:1:2:3:4:5:6 80",
            "web 10.0.0.2 80 tag=blue meta.version=2",
        ],
    );
    let Some(browser) = opened(&service) else {
        return;
    };
    let mut other = service.connect();
    hold(&mut other, &["api 10.0.0.3 80"]);
    browser.until("document.querySelectorAll('tr[data-id]').length === 3");
    drop(other);
    browser.until("document.querySelector('.is-gone')");
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        browser.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"features": [feature]}),
        );
        browser.until(&format!(
            "matchMedia('(prefers-color-scheme: {scheme})').matches"
        ));
        assert_eq!(browser.run(PALE), json!([]), "{scheme}");
        backgrounds.push(browser.run("return getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(backgrounds[0], backgrounds[1]);

    let narrow = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    browser.devtools("Emulation.setDeviceMetricsOverride", &narrow);
    browser.until("document.querySelector('#type-select').checkVisibility()");
    browser.until("document.querySelector('tr[data-id]').clientHeight > 50");
    assert_eq!(
        browser.run("return document.documentElement.scrollWidth"),
        360
    );
    browser.run(
        "const select = document.querySelector('#type-select');
         select.value = 'web'; select.dispatchEvent(new Event('change'))",
    );
    until_rows(&browser, &["10.0.0.2:80"]);
}
