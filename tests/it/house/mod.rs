//! The shape of the repository: the map of the rooms, and rules for the sources.

mod map;
mod rules;
mod sources;
