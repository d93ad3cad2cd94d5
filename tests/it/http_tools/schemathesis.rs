//! Schemathesis, which makes requests from a description of an API and checks the answers against it.

use crate::common::{Service, tool};

const CONFIGURATION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/http_tools/schemathesis.toml"
);

#[test]
fn the_service_answers_as_its_openapi_document_says() {
    let Some(mut schemathesis) = tool("schemathesis") else {
        return;
    };
    let service = Service::start(&["--ttl", "3600"]);
    let mut client = service.connect();
    client.ask("register web 127.0.0.1 80 tag=blue meta.zone=a");
    let folder = tempfile::tempdir().expect("a folder");
    schemathesis
        .args(["--config-file", CONFIGURATION, "run"])
        .arg(format!("http://{}/openapi.json", service.address()))
        .current_dir(&folder);
    let output = schemathesis.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(client.ask("ping"), "PONG");
}
