//! Stub until the room is furnished.
use super::{Decoded, Step};
use crate::message::Reply;
use crate::output::Output;
/// Decoder.
#[derive(Debug, Default)]
pub struct Decoder {}
impl Decoder {
    /// Decode.
    pub fn decode<'a>(&mut self, _input: &'a [u8]) -> Step<'a> {
        Step { consumed: 0, decoded: Decoded::Incomplete }
    }
    /// Finish.
    pub fn finish<'a>(&mut self, _rest: &'a [u8]) -> Decoded<'a> {
        Decoded::Incomplete
    }
}
/// Encode.
pub fn encode(_reply: &Reply, _output: &mut Output) {}
