//! A value that several peers receive, with its renderings in the wire formats.

use std::cell::OnceCell;
use std::ops::Deref;
use std::rc::Rc;

/// Bytes that several sessions send without a copy of their own.
pub type Bytes = Rc<Vec<u8>>;

/// The form of a rendering. The formats define it; this room only stores the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a line of text.
    Line,
    /// For the content of a frame.
    Frame,
    /// The line as a chunk of a body.
    Chunk,
    /// A server-sent event.
    Event,
    /// The event as a chunk of a body.
    EventChunk,
    /// The groups of targets of Prometheus.
    Targets,
    /// The entries of Consul with their checks.
    ConsulHealth,
    /// The entries of Consul's catalog.
    ConsulCatalog,
    /// Consul's checks.
    ConsulChecks,
    /// The services of Consul's agent.
    ConsulAgent,
    /// The names of Consul's services.
    ConsulNames,
    /// SRV records of DNS.
    DnsServices,
    /// Address records of DNS for IPv4.
    DnsIpv4,
    /// Address records of DNS for IPv6.
    DnsIpv6,
}

/// A value with its renderings. Each is made when a peer first needs it, and is shared from then on.
#[derive(Debug)]
pub struct Rendered<T> {
    value: T,
    renderings: Renderings,
}

/// Renderings in different forms, in the order in which they were made. Most values are needed in one
/// form only, so each takes memory from when it is made.
#[derive(Debug, Default)]
struct Renderings(OnceCell<Box<Rendering>>);

#[derive(Debug)]
struct Rendering {
    form: Form,
    bytes: Bytes,
    others: Renderings,
}

impl Renderings {
    fn get_or_make(&self, form: Form, make: impl FnOnce() -> Vec<u8>) -> &Bytes {
        match self.find(form) {
            Ok(bytes) => bytes,
            Err(_) => {
                let bytes = Rc::new(make());
                self.add(form, bytes)
            }
        }
    }

    /// The rendering in this form, or the place behind all others.
    fn find(&self, form: Form) -> Result<&Bytes, &Renderings> {
        let mut place = self;
        while let Some(rendering) = place.0.get() {
            if rendering.form == form {
                return Ok(&rendering.bytes);
            }
            place = &rendering.others;
        }
        Err(place)
    }

    /// Adds a rendering, unless making it has made it already.
    fn add(&self, form: Form, bytes: Bytes) -> &Bytes {
        let new = Rendering {
            form,
            bytes,
            others: Renderings::default(),
        };
        match self.find(form) {
            Ok(bytes) => bytes,
            Err(place) => &place.0.get_or_init(|| Box::new(new)).bytes,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Rendering> {
        let first = self.0.get();
        std::iter::successors(first, |rendering| rendering.others.0.get()).map(|boxed| &**boxed)
    }
}

impl<T> Rendered<T> {
    /// A value without renderings.
    pub fn new(value: T) -> Self {
        Rendered {
            value,
            renderings: Renderings::default(),
        }
    }

    /// The rendering in this form; `render` makes it on the first call.
    pub fn render(&self, form: Form, render: impl FnOnce(&T) -> Vec<u8>) -> &Bytes {
        self.renderings.get_or_make(form, || render(&self.value))
    }

    /// Bytes of all renderings so far.
    #[must_use]
    pub fn rendered_len(&self) -> usize {
        let renderings = self.renderings.iter();
        renderings.map(|made| made.bytes.len()).sum()
    }
}

impl<T> Deref for Rendered<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_rendered_once_for_each_form() {
        let value = Rendered::new(7);
        let mut made = 0;
        for _ in 0..3 {
            let line = value.render(Form::Line, |seven| {
                made += 1;
                seven.to_string().into_bytes()
            });
            assert_eq!(&line[..], b"7");
        }
        assert_eq!((made, value.rendered_len()), (1, 1));
        assert_eq!(
            &value.render(Form::Frame, |_| b"seven".to_vec())[..],
            b"seven"
        );
        assert_eq!((*value, value.rendered_len()), (7, 6));
    }

    #[test]
    fn a_rendering_may_be_made_from_another() {
        let value = Rendered::new(7);
        let line = |value: &u8| value.to_string().into_bytes();
        let frame = value.render(Form::Frame, |_| {
            let line = value.render(Form::Line, line);
            [&b"<"[..], line, b">"].concat()
        });
        assert_eq!(&frame[..], b"<7>");
        assert_eq!(value.rendered_len(), 4);
        value.render(Form::Line, |_| panic!("it was made already"));
    }
}
