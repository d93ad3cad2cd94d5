//! A value that several peers are answered with, and what it looks like on the wire.

use std::cell::OnceCell;
use std::ops::Deref;
use std::rc::Rc;

/// Bytes that several sessions may be sent; none of them owns a copy.
pub type Bytes = Rc<Vec<u8>>;

/// How a value is written. The formats decide what that looks like; this room only keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it stands in a line of text.
    Line,
    /// As it stands in the content of a frame.
    Frame,
}

impl Form {
    const COUNT: usize = 2;
}

/// A value with its renderings: each is made when a peer first needs it, and shared from then on.
#[derive(Debug)]
pub struct Rendered<T> {
    value: T,
    renderings: [OnceCell<Bytes>; Form::COUNT],
}

impl<T> Rendered<T> {
    /// A value that nobody has rendered yet.
    pub fn new(value: T) -> Self {
        Rendered {
            value,
            renderings: [const { OnceCell::new() }; Form::COUNT],
        }
    }

    /// The value in this form, which `render` makes if it is the first to be asked for it.
    pub fn render(&self, form: Form, render: impl FnOnce(&T) -> Vec<u8>) -> &Bytes {
        self.renderings[form as usize].get_or_init(|| Rc::new(render(&self.value)))
    }

    /// Bytes of all renderings that were made.
    #[must_use]
    pub fn rendered_len(&self) -> usize {
        let made = self.renderings.iter().filter_map(OnceCell::get);
        made.map(|bytes| bytes.len()).sum()
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
}
