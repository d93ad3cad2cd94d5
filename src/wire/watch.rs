//! The lines of a watcher's stream: one JSON object for each update.

use std::rc::Rc;

use super::json::{push_address, push_number, push_pairs, push_string, push_strings};
use crate::message::{Bytes, Delta, Form, Labels, Removal, Service, Share, Snapshot, Update};

/// Calls `take` with each line for an update, with its line end.
pub(super) fn for_each_line(update: &Update, mut take: impl FnMut(&Bytes)) {
    match update {
        Update::Snapshot(snapshot) => take(snapshot.render(Form::Line, snapshot_line)),
        Update::Deltas(deltas) => deltas
            .iter()
            .for_each(|delta| take(delta.render(Form::Line, delta_line))),
        Update::Keepalive(index) => take(&Rc::new(keepalive_line(*index))),
    }
}

/// `{"index":43}`
pub(super) fn keepalive_line(index: u64) -> Vec<u8> {
    let mut line = Vec::with_capacity(32);
    push_index(&mut line, index);
    line.extend_from_slice(b"}\n");
    line
}

/// `{"index":41,"services":[…]}`, or of a part `{"index":41,"part":1,"services":[…],"more":true}`
pub(super) fn snapshot_line(snapshot: &Snapshot) -> Vec<u8> {
    let mut line = Vec::with_capacity(64 + SERVICE_LEN * snapshot.services.len());
    push_index(&mut line, snapshot.index);
    if let Share::Part { number, .. } = snapshot.share {
        line.extend_from_slice(br#","part":"#);
        push_number(&mut line, number);
    }
    line.extend_from_slice(br#","services":["#);
    push_rows(&mut line, &snapshot.services, push_service);
    let end: &[u8] = if snapshot.share.has_more() {
        b"],\"more\":true}\n"
    } else {
        b"]}\n"
    };
    line.extend_from_slice(end);
    line.shrink_to_fit();
    line
}

/// `{"index":42,"up":[…],"down":[…]}`
pub(super) fn delta_line(delta: &Delta) -> Vec<u8> {
    let services = delta.up.len() + delta.down.len();
    let mut line = Vec::with_capacity(64 + SERVICE_LEN * services);
    push_index(&mut line, delta.index);
    line.extend_from_slice(br#","up":["#);
    push_rows(&mut line, &delta.up, push_service);
    line.extend_from_slice(br#"],"down":["#);
    push_rows(&mut line, &delta.down, push_removal);
    line.extend_from_slice(b"]}\n");
    line.shrink_to_fit();
    line
}

/// Approximate bytes of a service in a line, for reserving memory.
const SERVICE_LEN: usize = 96;

fn push_index(line: &mut Vec<u8>, index: u64) {
    line.extend_from_slice(br#"{"index":"#);
    push_number(line, index);
}

fn push_rows<T>(line: &mut Vec<u8>, rows: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    for (position, row) in rows.iter().enumerate() {
        line.extend_from_slice(if position > 0 { b",{" } else { b"{" });
        push(line, row);
        line.push(b'}');
    }
}

/// Appends the members `"id"`, `"type"`, `"ip"` and `"port"`.
fn push_service(line: &mut Vec<u8>, service: &Service) {
    line.extend_from_slice(br#""id":""#);
    line.extend_from_slice(&service.id.digits());
    line.extend_from_slice(br#"","type":"#);
    push_string(line, &service.service_type);
    line.push(b',');
    push_address(line, service.address);
    if let Some(labels) = &service.labels {
        push_labels(line, labels);
    }
}

/// Appends `"tags"` and `"meta"`, those that there are.
fn push_labels(line: &mut Vec<u8>, labels: &Labels) {
    if !labels.tags().is_empty() {
        line.extend_from_slice(br#","tags":"#);
        push_strings(line, labels.tags());
    }
    if !labels.meta().is_empty() {
        line.extend_from_slice(br#","meta":"#);
        push_pairs(line, labels.meta());
    }
}

/// Appends the members of the service, and `"reason"`.
fn push_removal(line: &mut Vec<u8>, removal: &Removal) {
    push_service(line, &removal.service);
    line.extend_from_slice(br#","reason":""#);
    line.extend_from_slice(removal.reason.as_str().as_bytes());
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Id, Reason, Rendered, ServiceAddress};
    use uuid::Uuid;

    fn service(port: u64) -> Service {
        Service {
            id: Id::of(&Uuid::nil()),
            service_type: "a\"".into(),
            address: ServiceAddress::new("::1", port).unwrap(),
            labels: None,
        }
    }

    fn written(update: &Update) -> String {
        let mut lines = Vec::new();
        for_each_line(update, |line| lines.extend_from_slice(line));
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn each_update_is_one_line() {
        let (one, two) = (service(1), service(2));
        let json =
            |port| format!(r#"{{"id":"374708fff7719dd5","type":"a\"","ip":"::1","port":{port}}}"#);
        let down = json(2).replace('}', r#","reason":"expired"}"#);
        let snapshot = Snapshot {
            index: 7,
            share: Share::Whole,
            services: vec![one.clone(), two.clone()],
        };
        let written_as = |share| {
            let snapshot = Snapshot {
                share,
                ..snapshot.clone()
            };
            written(&Update::Snapshot(Rc::new(Rendered::new(snapshot))))
        };
        let services = format!("\"services\":[{},{}]", json(1), json(2));
        assert_eq!(
            written_as(Share::Whole),
            format!("{{\"index\":7,{services}}}\n")
        );
        let part = |number, more| written_as(Share::Part { number, more });
        assert_eq!(
            part(1, true),
            format!("{{\"index\":7,\"part\":1,{services},\"more\":true}}\n")
        );
        assert_eq!(
            part(2, false),
            format!("{{\"index\":7,\"part\":2,{services}}}\n")
        );
        let delta = Delta {
            index: 8,
            up: vec![one],
            down: vec![Removal {
                service: two,
                reason: Reason::Expired,
            }],
        };
        assert_eq!(
            written(&Update::Deltas(Rc::new([Rendered::new(delta)]))),
            format!("{{\"index\":8,\"up\":[{}],\"down\":[{down}]}}\n", json(1))
        );
        assert_eq!(written(&Update::Keepalive(9)), "{\"index\":9}\n");
    }
}
