//! The client libraries and the client script, against the real service and hostile ones.

mod hostile_registry;
mod libraries;
mod script;
