//! What each format is answered.

mod frames;
mod text;
