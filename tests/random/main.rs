//! Random input against the registry and the formats: properties that hold for all input.

mod dns;
mod elsewhere;
mod etcd;
mod fuzz;
mod model;
mod properties;
mod reference;
mod registry;
#[path = "../simulation/rng.rs"]
mod rng;
mod state;
mod state_file;
mod walks;
mod wire;
