//! The client libraries and the client script, against the real service and hostile ones.

mod hostile_registry;
mod python;
mod rust;
mod script;
mod scripted;
