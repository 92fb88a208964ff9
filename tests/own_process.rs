//! The body of a test in a process of its own, since the environment, where credentials come from, belongs to a process.

use std::process::{Command, Output};

/// Says to the inner process which test it runs.
const INNER: &str = "REDDINO_INNER_TEST";

/// Whether this is the inner process of `test`.
pub fn is_inner(test: &str) -> bool {
    std::env::var(INNER).is_ok_and(|name| name == test)
}

/// Runs `test`, whose name no other test's contains, of this binary again with `env`, there with [`is_inner`], and gives what it printed.
///
/// # Panics
/// It fails.
pub fn run_inner(test: &str, env: Vec<(&'static str, String)>) -> Output {
    let output = Command::new(std::env::current_exe().expect("a test knows its own executable"))
        .args([test, "--nocapture"])
        .envs(env)
        .env(INNER, test)
        .output()
        .expect("the test starts again");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{test} fails in its own process\n--- stdout\n{out}\n--- stderr\n{err}");
    assert!(out.contains("1 passed"), "{test} is not the name of this test\n{out}");
    output
}
