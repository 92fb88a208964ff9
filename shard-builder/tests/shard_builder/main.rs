//! All tests of the program, in one program: linking is what takes time.

#![allow(clippy::too_many_lines, reason = "a test tells its story from beginning to end")]

mod archives;
mod attached;
mod build;
mod care;
mod copies;
mod first_steps;
mod leaks;
mod pages;
mod quality;
mod shared;
mod slides;
mod strays;
mod support;
