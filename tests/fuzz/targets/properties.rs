//! The properties of `tests/random`, compiled for libFuzzer.

#[path = "../../random/model.rs"]
mod model;
#[path = "../../random/properties.rs"]
mod properties;
#[path = "../../random/reference.rs"]
mod reference;

pub use properties::{any_split, frame_input, registry_operations, text_input};
