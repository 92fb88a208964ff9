//! All tests of the program, in one program: linking is what takes time.

mod archives;
mod attached;
mod build;
mod care;
mod copies;
mod pages;
mod quality;
mod shared;
mod strays;
mod support;
