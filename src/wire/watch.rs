//! The lines of a watcher's stream: one JSON object for each update.

use std::rc::Rc;

use super::json::{push_number, push_service};
use crate::message::{Bytes, Delta, Form, Service, Snapshot, Update};

/// The line for an update, with its line end.
pub(super) fn line(update: &Update) -> Bytes {
    match update {
        Update::Snapshot(snapshot) => Rc::clone(snapshot.render(Form::Line, snapshot_line)),
        Update::Delta(delta) => Rc::clone(delta.render(Form::Line, delta_line)),
        Update::Keepalive(index) => Rc::new(keepalive_line(*index)),
    }
}

/// `{"index":43}`
fn keepalive_line(index: u64) -> Vec<u8> {
    let mut line = Vec::with_capacity(32);
    push_index(&mut line, index);
    line.extend_from_slice(b"}\n");
    line
}

/// `{"index":41,"services":[…]}`
fn snapshot_line(snapshot: &Snapshot) -> Vec<u8> {
    let mut line = Vec::with_capacity(64 + SERVICE_LEN * snapshot.services.len());
    push_index(&mut line, snapshot.index);
    line.extend_from_slice(br#","services":["#);
    push_services(&mut line, &snapshot.services);
    line.extend_from_slice(b"]}\n");
    line.shrink_to_fit();
    line
}

/// `{"index":42,"up":[…],"down":[…]}`
fn delta_line(delta: &Delta) -> Vec<u8> {
    let services = delta.up.len() + delta.down.len();
    let mut line = Vec::with_capacity(64 + SERVICE_LEN * services);
    push_index(&mut line, delta.index);
    line.extend_from_slice(br#","up":["#);
    push_services(&mut line, &delta.up);
    line.extend_from_slice(br#"],"down":["#);
    push_services(&mut line, &delta.down);
    line.extend_from_slice(b"]}\n");
    line.shrink_to_fit();
    line
}

/// Approximate bytes of a service in a line, for reserving memory.
const SERVICE_LEN: usize = 64;

fn push_index(line: &mut Vec<u8>, index: u64) {
    line.extend_from_slice(br#"{"index":"#);
    push_number(line, index);
}

fn push_services(line: &mut Vec<u8>, services: &[Service]) {
    for (position, service) in services.iter().enumerate() {
        if position > 0 {
            line.push(b',');
        }
        line.push(b'{');
        push_service(line, &service.service_type, service.address);
        line.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Rendered, ServiceAddress};

    fn service(port: u64) -> Service {
        Service {
            service_type: "a\"".into(),
            address: ServiceAddress::new("::1", port).unwrap(),
        }
    }

    fn written(update: &Update) -> String {
        String::from_utf8(line(update).to_vec()).unwrap()
    }

    #[test]
    fn each_update_is_one_line() {
        let (one, two) = (service(1), service(2));
        let json = |port| format!(r#"{{"type":"a\"","ip":"::1","port":{port}}}"#);
        let snapshot = Snapshot {
            index: 7,
            services: vec![one.clone(), two.clone()],
        };
        assert_eq!(
            written(&Update::Snapshot(Rc::new(Rendered::new(snapshot)))),
            format!("{{\"index\":7,\"services\":[{},{}]}}\n", json(1), json(2))
        );
        let delta = Delta {
            index: 8,
            up: vec![one],
            down: vec![two],
        };
        assert_eq!(
            written(&Update::Delta(Rc::new(Rendered::new(delta)))),
            format!(
                "{{\"index\":8,\"up\":[{}],\"down\":[{}]}}\n",
                json(1),
                json(2)
            )
        );
        assert_eq!(written(&Update::Keepalive(9)), "{\"index\":9}\n");
    }
}
