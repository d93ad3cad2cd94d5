//! What is promised over HTTP, with a client of the test's own: byte for byte, and no laxer than the service.

mod access;
mod api;
pub mod client;
mod consul;
mod monitors;
mod protocol;
mod streams;

use serde_json::Value;

use crate::common::Service;
use client::{HttpClient, Response};

/// The answer to a request on a connection of its own.
fn get(service: &Service, target: &str) -> Response {
    HttpClient::connect(service).get(target)
}

/// The answer to a request with a JSON body, on a connection of its own.
fn post(service: &Service, target: &str, body: &str) -> Response {
    HttpClient::connect(service).post(target, body)
}

/// The UUID of a new registration.
fn register(service: &Service, body: &str) -> String {
    let answer = post(service, "/api/register", body);
    assert_eq!(answer.status, 200, "{answer:?}");
    text(&answer.json()["uuid"])
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
