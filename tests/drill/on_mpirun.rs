//! Cells under mpirun on this machine: a rank, the launcher, or the store is hit.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use system_tests::fault_proxy::Proxy;
use system_tests::s3_server::{BUCKET, S3Server};

use super::cells::{Cell, What, When, Who};
use super::ground::{Ground, Outcome, file_of, wait_for, wait_for_moment};
use super::processes::{lives, signal, slow, workers_of};

const RANKS: usize = 2;

/// Waits for the end of mpirun and of its ranks; whether it was well.
fn end_of(mut child: Child, ranks: &[u32], cell: &Cell) -> bool {
    let began = Instant::now();
    let limit = Duration::from_secs(cell.within_s + 5);
    let ended = loop {
        match child.try_wait().expect("a child") {
            Some(status) if ranks.iter().all(|rank| !lives(*rank)) => break Some(status.success()),
            _ if began.elapsed() > limit => break None,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    // What is left is ours, and no longer wanted; it is too late for a good outcome.
    if ended.is_none() {
        signal("KILL", &[&[child.id()], ranks].concat());
        let _ = child.wait();
    }
    ended.unwrap_or(false)
}

/// Plays a cell of a rank or of mpirun; none without mpirun.
pub(crate) fn play(ground: &Ground, test: &str, cell: &Cell) -> Option<Outcome> {
    let name = format!("{cell}").replace(", ", "-").to_lowercase();
    let (out, log) = (ground.bench.path(&name), format!("{name}.log"));
    let child = ground.start(ground.command(test, RANKS, &out)?, &log);
    let launcher = child.id();
    wait_for("ranks", || workers_of(launcher).len() == RANKS);
    let ranks = workers_of(launcher);
    wait_for_moment(&PathBuf::from(&out), cell.when);
    let late = PathBuf::from(&out).join("final.json").exists();
    let victims = match cell.who {
        Who::Rank => vec![*ranks.last().expect("two ranks")],
        _ => vec![launcher],
    };
    let hit = Instant::now();
    strike(cell, &victims);
    let went_on = end_of(child, &ranks, cell);
    let seconds = hit.elapsed().as_secs_f64();
    let said = ground.log(&log);
    let starts = 1 + usize::from(go_on(ground, RANKS, &out, &[]));
    let same = ground.bench.final_digest(&name) == ground.undisturbed(RANKS);
    Some(Outcome { seconds, starts, went_on, late, log: said, same })
}

/// Does to some processes what the cell says.
fn strike(cell: &Cell, victims: &[u32]) {
    let lasts = Duration::from_secs(cell.lasts_s);
    match cell.what {
        What::Killed => signal("KILL", victims),
        What::Stopped if cell.lasts_s == 0 => signal("STOP", victims),
        What::Stopped => {
            signal("STOP", victims);
            std::thread::sleep(lasts);
            signal("CONT", victims);
        }
        What::Slow => slow(victims, lasts),
        What::Partitioned => {}
    }
}

/// Gives the same command once more, as whoever watches a run does; false if it was not needed.
pub(crate) fn go_on(ground: &Ground, ranks: usize, out: &str, env: &[(&'static str, String)]) -> bool {
    if PathBuf::from(out).join("final.json").exists() {
        return false;
    }
    let mut command = ground.command("drill", ranks, out).expect("mpirun was there");
    let output = command.envs(env.iter().map(|(name, value)| (*name, value.as_str()))).output().expect("mpirun starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Plays a cell of the store; none without mpirun or an S3 server.
pub(crate) fn play_store(ground: &Ground, test: &str, cell: &Cell) -> Option<Outcome> {
    let server = S3Server::shared(test)?;
    let proxy = Proxy::start(server.address(), &[]);
    let name = format!("drill-{cell}-{}", std::process::id()).replace(", ", "-").to_lowercase();
    let (uri, log) = (format!("s3://{BUCKET}/{name}"), format!("{name}.log"));
    let env = server.env(proxy.address());
    let mut command = ground.command(test, RANKS, &uri)?;
    command.envs(env.iter().map(|(name, value)| (*name, value.as_str())));
    let mut hit = Instant::now();
    if cell.when == When::Start {
        set(&proxy, cell.what, true);
    }
    let child = ground.start(command, &log);
    let launcher = child.id();
    wait_for("ranks", || workers_of(launcher).len() == RANKS);
    let ranks = workers_of(launcher);
    if let Some(file) = file_of(cell.when) {
        wait_for(&file, || proxy.has_seen(&format!("PUT /{BUCKET}/{name}/{file}")));
        hit = Instant::now();
        set(&proxy, cell.what, true);
    }
    if cell.lasts_s > 0 {
        std::thread::sleep(Duration::from_secs(cell.lasts_s));
        set(&proxy, cell.what, false);
    }
    let went_on = end_of(child, &ranks, cell);
    let seconds = hit.elapsed().as_secs_f64();
    set(&proxy, cell.what, false);
    let starts = if went_on { 1 } else { 2 };
    if !went_on {
        let mut again = ground.command(test, RANKS, &uri)?;
        again.envs(env.iter().map(|(name, value)| (*name, value.as_str())));
        let output = again.output().expect("mpirun starts");
        assert!(output.status.success(), "{cell}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let same = digest_at(server, &name) == ground.undisturbed(RANKS);
    Some(Outcome { seconds, starts, went_on, late: false, log: ground.log(&log), same })
}

fn set(proxy: &Proxy, what: What, on: bool) {
    match what {
        What::Killed => proxy.set_away(on),
        What::Stopped => proxy.set_held(on),
        What::Slow => proxy.set_delay(Duration::from_millis(if on { 400 } else { 0 })),
        What::Partitioned => proxy.set_mute(on),
    }
}

/// The digest of the last checkpoint of the run `name` in the bucket, which is done.
fn digest_at(server: &S3Server, name: &str) -> String {
    let text = server.text(&format!("{name}/final.json")).expect("the run is done");
    let record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    record["checkpoint"]["digest"].as_str().expect("a digest").to_owned()
}
