//! The client libraries and the client script, against the real service and hostile ones.

mod hostile_registry;
mod moving;
mod nodes;
mod python;
mod rust;
mod script;
mod scripted;
