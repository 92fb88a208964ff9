//! All tests of the crate from outside, in one program: linking is what takes time.
#![allow(clippy::too_many_lines, reason = "a test tells its story from beginning to end")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod collapse;
mod golden;
mod memory;
mod parts;
mod released;
mod resnet;
mod seen;
mod state;
mod support;
mod traffic;
mod weights;
mod width;
mod zero1;
