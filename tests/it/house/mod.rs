//! The shape of the repository: the map of the rooms, files and documents that are in use, and rules for the
//! sources.

mod documents;
mod faults;
mod files;
mod map;
mod rules;
mod sources;
