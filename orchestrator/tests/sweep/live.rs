//! What shows a sweep while it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::harness::{Bench, SWEEP, wait_until};

#[test]
fn without_a_terminal_watch_shows_the_status_once() {
    let bench = Bench::new();
    bench.run(&[]).ends(0);
    let run = bench.orchestrator(&["watch", "bench", "--store", "store"]).ends(0);
    assert!(run.out.contains("7 trials: 7 done, 0 failed, 0 running, 0 to run"), "{}", run.out);
    assert!(run.err.contains("This is not a terminal"), "{}", run.err);
}

/// A dashboard that is ended when it is dropped.
struct Dashboard {
    child: Child,
    url: String,
}

impl Dashboard {
    fn start(bench: &Bench, args: &[&str]) -> Self {
        let all = [&["dashboard", "--store", "store", "--every-s", "0.1"], args].concat();
        let mut child = bench.command(&all).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    /// Status line and headers, and the body.
    fn get(&self, path: &str, headers: &str) -> (String, String) {
        let address = self.url.trim_start_matches("http://").split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const HERE: &str = "Host: localhost\r\n";

#[test]
fn a_dashboard_shows_sweeps_while_they_run_and_their_reports() {
    let bench = Bench::new()
        .with("DOUBLE_STEP_S", "0.4")
        .with("DOUBLE_STEPS", "6")
        .with("DOUBLE_FAIL_IF", "koleo_weight\": 0.1");
    let mut sweep = bench.start();
    wait_until("a run has begun", || !bench.calls("train").is_empty());
    let dashboard = Dashboard::start(&bench, &["--listen", "127.0.0.1:0"]);
    let page = |path: &str| dashboard.get(path, HERE).1;
    wait_until("the sweep is listed", || page("/").contains("<a href=\"/sweeps/bench\">bench</a>"));
    wait_until("a trial is seen to train", || page("/sweeps/bench").contains("<td>train</td>"));
    wait_until("its loss is seen", || page("/sweeps/bench").contains("<td>9.500</td>"));
    let (head, report) = dashboard.get("/sweeps/bench/report", HERE);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("refresh: 60"), "{head}");
    assert!(report.contains("RUNNING: ") && report.contains("Sweep bench"));
    assert!(!dashboard.get("/sweeps/bench/report?hold", HERE).0.contains("refresh"));
    assert_eq!(sweep.wait().unwrap().code(), Some(3));
    wait_until("the failures are seen", || page("/sweeps/bench").contains("failed: train: exit code 1"));

    // A sweep that begins later is found; nothing else is there, whatever the path.
    let (head, _) = dashboard.get("/sweeps/bench", HERE);
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(head.contains(header), "{head}");
    }
    for path in [
        "/sweeps/none",
        "/sweeps/bench/../../base.yaml",
        "/..%2f..%2fetc%2fpasswd",
        "/sweeps/..%2f..%2fbase.yaml",
        "/store",
        "//",
    ] {
        assert!(dashboard.get(path, HERE).0.starts_with("HTTP/1.1 404 "), "{path}");
    }
    assert!(dashboard.get("/", "Host: elsewhere.example\r\n").0.starts_with("HTTP/1.1 421 "));
}

#[test]
fn a_dashboard_that_others_reach_wants_its_token() {
    let bench = Bench::new().sweep(SWEEP);
    std::fs::create_dir(bench.path("store")).unwrap();
    let dashboard = Dashboard::start(&bench, &["--listen", "0.0.0.0:0"]);
    let token = dashboard.url.rsplit_once("/?token=").unwrap().1;
    assert!(dashboard.get("/", "Host: elsewhere.example\r\n").0.starts_with("HTTP/1.1 401 "));
    let (head, _) = dashboard.get(&format!("/?token={token}"), "");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
    assert!(head.starts_with("HTTP/1.1 303 ") && head.contains("location: /"), "{head}");
    let (head, body) = dashboard.get("/", &format!("Cookie: {cookie}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("The store contains no sweep yet."), "{head}");
    assert!(dashboard.get("/", "Cookie: reddino-1=0\r\n").0.starts_with("HTTP/1.1 401 "));
    let busy = bench.orchestrator(&["dashboard", "--store", "store", "--listen", "nowhere"]).ends(1);
    assert!(busy.err.contains("--listen nowhere: ADDRESS:PORT is expected"), "{}", busy.err);
}
