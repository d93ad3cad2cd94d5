//! Walks over the registrations, in steps, between which registrations come and go.

use std::hash::BuildHasher;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::marks::MarkNumber;
use super::{NONE, Record, Registry, TypeView};
use crate::time::Moment;

/// Where a walk goes on: by type name, oldest first within a type.
///
/// A walk meets every registration that is there from its beginning to its end, once. Those that come
/// or go meanwhile it may meet or not. A cursor that is not walked to its end must be
/// [dropped](Registry::drop_cursor) by its registry.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    scope: Scope,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Type,
    All,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Place {
    /// Before the first type behind this name, in the order of names.
    Behind(Option<Arc<str>>),
    /// In the list of this type.
    In {
        name: Arc<str>,
        mark: MarkNumber,
        /// Entries that may still be met: those that came after the beginning are behind them.
        left: u32,
    },
    End,
}

impl Cursor {
    /// Whether the walk has ended.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        matches!(self.place, Place::End)
    }
}

impl<S: BuildHasher> Registry<S> {
    /// A cursor before the first registration of the type with this name, or of all types.
    pub fn cursor(&mut self, service_type: Option<&str>) -> Cursor {
        let Some(name) = service_type else {
            let (scope, place) = (Scope::All, Place::Behind(None));
            return Cursor { scope, place };
        };
        let of = self.types.find(name, &self.hasher);
        let place = of.map_or(Place::End, |of| self.enter(of));
        let scope = Scope::Type;
        Cursor { scope, place }
    }

    /// A second cursor at the same place.
    pub fn copy_cursor(&mut self, cursor: &Cursor) -> Cursor {
        let place = match &cursor.place {
            Place::Behind(name) => Place::Behind(name.clone()),
            Place::In { name, mark, left } => {
                self.marks.share(*mark);
                let (name, mark, left) = (Arc::clone(name), *mark, *left);
                Place::In { name, mark, left }
            }
            Place::End => Place::End,
        };
        let scope = cursor.scope;
        Cursor { scope, place }
    }

    /// Ends a walk before its end.
    pub fn drop_cursor(&mut self, cursor: Cursor) {
        if let Place::In { mark, .. } = cursor.place {
            self.marks.leave(&mut self.entries, mark);
        }
    }

    /// Places at which walks have stopped.
    #[must_use]
    pub fn marked_places(&self) -> usize {
        self.marks.len()
    }

    /// Walks on over at most `budget` entries, which it counts down, and shows `visit` those that are
    /// live at `now`, until that breaks off.
    pub fn walk(
        &mut self,
        cursor: &mut Cursor,
        now: Moment,
        budget: &mut usize,
        mut visit: impl FnMut(&Record<'_>) -> ControlFlow<()>,
    ) {
        while *budget > 0 {
            let (name, mark, mut left) = match std::mem::replace(&mut cursor.place, Place::End) {
                Place::End => return,
                Place::Behind(name) => {
                    *budget -= 1;
                    cursor.place = self.enter_behind(name);
                    continue;
                }
                Place::In { name, mark, left } => (name, mark, left),
            };
            let mut slot = self.marks.leave(&mut self.entries, mark);
            let mut flow = ControlFlow::Continue(());
            while slot != NONE && left > 0 && *budget > 0 && flow.is_continue() {
                let entry = self.entries.get(slot);
                if entry.is_live(now) {
                    flow = visit(&self.record(slot, now));
                }
                slot = entry.next;
                left -= 1;
                *budget -= 1;
            }
            cursor.place = if slot != NONE && left > 0 {
                let mark = self.marks.set(&mut self.entries, slot);
                Place::In { name, mark, left }
            } else if let Scope::All = cursor.scope {
                self.behind(name)
            } else {
                Place::End
            };
            if flow.is_break() {
                return;
            }
        }
    }

    /// The types behind this name, in the order of their names.
    pub fn types_behind(&self, name: Option<&str>) -> impl Iterator<Item = TypeView<'_, S>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let types = self.types.behind(from);
        types.map(|slot| TypeView::new(self, slot))
    }

    /// The place behind the type with this name: the end, if no type comes after it.
    fn behind(&self, name: Arc<str>) -> Place {
        if self.types_behind(Some(&name)).next().is_some() {
            Place::Behind(Some(name))
        } else {
            Place::End
        }
    }

    fn enter_behind(&mut self, name: Option<Arc<str>>) -> Place {
        let next = self.types_behind(name.as_deref()).next();
        match next.map(|view| view.slot()) {
            Some(of) => self.enter(of),
            None => Place::End,
        }
    }

    /// The beginning of the list of the type in the slot `of`.
    fn enter(&mut self, of: u32) -> Place {
        let of = self.types.get(of);
        let (name, left) = (Arc::clone(&of.name), of.len);
        let mark = self.marks.set(&mut self.entries, of.first);
        Place::In { name, mark, left }
    }
}
