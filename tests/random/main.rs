//! Random input against the registry and the formats: properties that hold for whatever comes.

mod fuzz;
mod reference;
mod registry;
#[path = "../simulation/rng.rs"]
mod rng;
mod wire;
