//! The properties of `tests/random`, compiled for libFuzzer.

#[path = "../../random/dns.rs"]
mod dns;
#[path = "../../random/elsewhere.rs"]
mod elsewhere;
#[path = "../../random/etcd.rs"]
mod etcd;
#[path = "../../random/model.rs"]
mod model;
#[path = "../../random/properties.rs"]
mod properties;
#[path = "../../random/reference.rs"]
mod reference;
#[path = "../../random/state_file.rs"]
mod state_file;

pub use dns::dns_messages;
pub use properties::{
    any_split, etcd_answers, foreign_opening, frame_input, own_first_line, registry_operations,
    text_input,
};
pub use state_file::state_file;
