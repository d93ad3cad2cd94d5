//! The process: its arguments, its signals, its files and its end.

mod lifetime;
mod log;
mod tokens;
