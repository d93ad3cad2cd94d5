//! What the service answers in each format.

mod frames;
mod labels;
mod text;
