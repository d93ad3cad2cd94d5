//! The shape of the repository: the map of the rooms, files that are in use, and rules for the sources.

mod files;
mod map;
mod rules;
mod sources;
