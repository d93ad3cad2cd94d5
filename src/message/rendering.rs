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
}

impl Form {
    const COUNT: usize = 2;
}

/// A value with its renderings. Each is made when a peer first needs it, and is shared from then on.
#[derive(Debug)]
pub struct Rendered<T> {
    value: T,
    renderings: [OnceCell<Bytes>; Form::COUNT],
}

impl<T> Rendered<T> {
    /// A value without renderings.
    pub fn new(value: T) -> Self {
        Rendered {
            value,
            renderings: [const { OnceCell::new() }; Form::COUNT],
        }
    }

    /// The rendering in this form; `render` makes it on the first call.
    pub fn render(&self, form: Form, render: impl FnOnce(&T) -> Vec<u8>) -> &Bytes {
        self.renderings[form as usize].get_or_init(|| Rc::new(render(&self.value)))
    }

    /// Bytes of all renderings so far.
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
