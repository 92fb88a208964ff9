//! Kills at random moments: of any rank of a run, in its whole length.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ground::{Ground, wait_for};
use super::on_mpirun::go_on;
use super::processes::{lives, signal, workers_of};

/// What one kill cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    /// Seconds from the kill until no process was left.
    pub(crate) to_end_s: f64,
    /// Whether the run was done before.
    pub(crate) late: bool,
    pub(crate) same: bool,
}

/// How long a run on `ranks` processes takes from their start on.
fn length(ground: &Ground, ranks: usize) -> Option<Duration> {
    let name = format!("random-{ranks}-whole");
    let mut child = ground.start(ground.command("drill", ranks, &ground.bench.path(&name))?, &format!("{name}.log"));
    let launcher = child.id();
    wait_for("ranks", || workers_of(launcher).len() == ranks);
    let began = Instant::now();
    child.wait().ok()?;
    Some(began.elapsed())
}

/// Kills `times` runs on `ranks` processes, each once, and lets the same command end them; none without mpirun.
pub(crate) fn play(ground: &Ground, ranks: usize, times: usize) -> Option<Vec<Kill>> {
    ground.command("drill", ranks, "")?;
    let expected = ground.undisturbed(ranks);
    let length = length(ground, ranks)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ ranks as u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let kill = |number: usize| {
        let name = format!("random-{ranks}-{number}");
        let out = ground.bench.path(&name);
        let mut child = ground.start(ground.command("drill", ranks, &out)?, &format!("{name}.log"));
        let launcher = child.id();
        wait_for("ranks", || workers_of(launcher).len() == ranks);
        let processes = workers_of(launcher);
        std::thread::sleep(length.mul_f64(random()));
        let late = PathBuf::from(&out).join("final.json").exists();
        let victim = processes[(random() * ranks as f64) as usize % ranks];
        let hit = Instant::now();
        signal("KILL", &[victim]);
        let _ = child.wait();
        wait_for("the end of all ranks", || !processes.iter().any(|rank| lives(*rank)));
        let to_end_s = hit.elapsed().as_secs_f64();
        go_on(ground, ranks, &out, &[]);
        Some(Kill { to_end_s, late, same: ground.bench.final_digest(&name) == expected })
    };
    (0..times).map(kill).collect()
}
