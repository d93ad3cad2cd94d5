//! The client libraries and the client script, against the real service and a hostile one.

mod hostile_registry;
mod libraries;
mod script;
