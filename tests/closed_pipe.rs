//! A reader that has gone away (`| head`) ends a command quietly and with success, whichever program it is of.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use system_tests::program;
use system_tests::tiny_run::{Bench, shards, text};

/// Commands that print and need nothing; each prints at least a line.
const COMMANDS: &[(&str, &[&str])] = &[
    ("worker", &["version"]),
    ("worker", &["version", "--json"]),
    ("worker", &["--help"]),
    ("shard-builder", &["schema"]),
    ("shard-builder", &["--help"]),
    ("orchestrator", &["schema", "train"]),
    ("orchestrator", &["schema", "sweep"]),
    ("orchestrator", &["--help"]),
];

#[test]
fn nobody_reads() {
    for (name, args) in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        let child = Command::new(program(name)).args(*args).stdout(writer).stderr(Stdio::piped()).spawn();
        drop(reader);
        let output = child.unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name} {args:?}: {}\n{said}", output.status);
    }
}

#[test]
fn a_reader_takes_the_first_line_of_many() {
    // More than a pipe holds: the program is still writing when its reader goes.
    let bench = Bench::new();
    let mut child = Command::new(program("worker"))
        .args(["plan", &bench.path("config.yaml"), "--shards", text(&shards().0), "--steps", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(first.starts_with("step\trank"), "{first}");
    assert!(output.status.success() && said.is_empty(), "{}\n{said}", output.status);
}
