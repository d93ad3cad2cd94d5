//! The updates for a watcher as pieces of a body: lines, or server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::rc::Rc;

use super::response::chunk;
use crate::message::{Bytes, Form, Rendered, Update};
use crate::wire::json::push_number;
use crate::wire::watch;

/// How a stream of updates is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Lines,
    Events,
}

/// Calls `take` with each piece of an update. Pieces are made once and shared, in each style.
pub(super) fn for_each_piece(
    update: &Update,
    style: Style,
    is_chunked: bool,
    mut take: impl FnMut(&Bytes),
) {
    let mut style = Shared { style, is_chunked };
    match update {
        Update::Snapshot(snapshot) => {
            take(style.render(snapshot, "services", snapshot.index, watch::snapshot_line));
        }
        Update::Deltas(deltas) => deltas.iter().for_each(|delta| {
            take(style.render(delta, "change", delta.index, watch::delta_line));
        }),
        Update::Keepalive(index) => {
            let line = watch::keepalive_line(*index);
            take(&Rc::new(style.piece("still", *index, &line)));
        }
    }
}

struct Shared {
    style: Style,
    is_chunked: bool,
}

impl Shared {
    fn render<'a, T>(
        &mut self,
        value: &'a Rendered<T>,
        name: &str,
        index: u64,
        line: impl FnOnce(&T) -> Vec<u8>,
    ) -> &'a Bytes {
        let line = value.render(Form::Line, line);
        let form = match (self.style, self.is_chunked) {
            (Style::Lines, false) => return line,
            (Style::Lines, true) => Form::Chunk,
            (Style::Events, false) => Form::Event,
            (Style::Events, true) => Form::EventChunk,
        };
        value.render(form, |_| self.piece(name, index, line))
    }

    fn piece(&self, name: &str, index: u64, line: &[u8]) -> Vec<u8> {
        let piece = match self.style {
            Style::Lines => line.to_vec(),
            Style::Events => event(name, index, line),
        };
        if self.is_chunked {
            chunk(&piece)
        } else {
            piece
        }
    }
}

/// The line, which has its end, as an event.
fn event(name: &str, index: u64, line: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(line.len() + 64);
    event.extend_from_slice(b"id: ");
    push_number(&mut event, index);
    event.extend_from_slice(b"\nevent: ");
    event.extend_from_slice(name.as_bytes());
    event.extend_from_slice(b"\ndata: ");
    event.extend_from_slice(line);
    event.push(b'\n');
    event
}
