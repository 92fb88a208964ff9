//! Workers and orchestrators that are killed, stopped or too slow.

use crate::harness::{Bench, SWEEP, runs, signal, wait_until};

#[test]
fn a_killed_orchestrator_takes_its_workers_along_and_is_continued() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "20");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 6);
    signal(first.id(), "KILL");
    first.wait().unwrap();
    wait_until("the workers ended by themselves", || bench.pids().iter().all(|pid| !runs(*pid)));
    assert_eq!(bench.results(), 0);
    let made = steps(&bench);

    let bench = bench.with("DOUBLE_STEP_S", "0");
    bench.run(&[]).ends(0);
    let resumed: Vec<u32> =
        bench.calls("train").iter().filter(|line| line.contains("attempt-2")).map(|line| from(line)).collect();
    assert_eq!(resumed.iter().sum::<u32>(), made, "the second attempts go on from the steps of the first");
    assert_eq!(bench.records("attempt-2/result.json").len(), 2);
    assert_eq!(bench.records("attempt-1/result.json").len(), 2 + 3, "two trials and the baselines");
    let lost = std::fs::read_to_string(bench.path("store").join(&bench.records("attempt-1/failed.json")[0])).unwrap();
    assert!(lost.contains("\"lost\""), "{lost}");
}

/// The guard too may be killed; then the restarted orchestrator ends what is left of the process group.
#[test]
fn workers_left_alive_are_ended_before_their_trial_is_run_again() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "1000").with("DOUBLE_STUBBORN", "1");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 2);
    signal(first.id(), "STOP");
    let orphans = bench.pids();
    for worker in &orphans {
        signal(parent(*worker), "KILL");
    }
    signal(first.id(), "KILL");
    first.wait().unwrap();
    assert!(orphans.iter().all(|pid| runs(*pid)), "the scene is set: orphans that run");

    let bench = bench.with("DOUBLE_STEP_S", "0").with("DOUBLE_STUBBORN", "").with("DOUBLE_STEPS", "1");
    bench.run(&[]).ends(0);
    assert!(orphans.iter().all(|pid| !runs(*pid)));
}

#[test]
fn a_stubborn_worker_is_killed_after_the_grace_period() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "1000").with("DOUBLE_STUBBORN", "1");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 2);
    signal(first.id(), "KILL");
    first.wait().unwrap();
    wait_until("the guards killed them", || bench.pids().iter().all(|pid| !runs(*pid)));
}

#[test]
fn a_signal_stops_the_sweep_and_the_same_command_continues_it() {
    let bench = Bench::new().with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "20");
    let mut first = bench.start();
    wait_until("two runs have made steps", || bench.records("run/steps").len() == 2 && steps(&bench) >= 4);
    signal(first.id(), "TERM");
    assert_eq!(first.wait().unwrap().code(), Some(130));
    assert!(bench.pids().iter().all(|pid| !runs(*pid)));
    let status = bench.orchestrator(&["status", "sweep.yaml"]).ends(0).out;
    assert!(status.contains("cut off (attempt 1)") && status.contains("0 failed"), "{status}");
    bench.with("DOUBLE_STEP_S", "0").run(&[]).ends(0);
}

#[test]
fn a_worker_that_somebody_stopped_is_not_blamed() {
    let bench = Bench::new().with("DOUBLE_STOPS", "koleo_weight\": 0.1");
    let run = bench.run(&[]).ends(3);
    assert!(run.err.contains("5 trials finished now, 0 before, 0 failed, 2 not done"), "{}", run.err);
    bench.with("DOUBLE_STOPS", "").run(&[]).ends(0);
}

#[test]
fn a_trial_past_its_limit_is_ended_and_listed() {
    let slow = SWEEP.replace("seeds: [0, 1]", "seeds: [0]\ntime_limit_s: 1");
    let bench = Bench::new().sweep(&slow).with("DOUBLE_STEP_S", "0.2").with("DOUBLE_STEPS", "1000");
    let run = bench.run(&[]).ends(3);
    assert!(run.err.contains("FAILED: ran past time_limit_s: 1"), "{}", run.err);
    assert!(bench.pids().iter().all(|pid| !runs(*pid)));
}

fn steps(bench: &Bench) -> u32 {
    let count =
        |key: &String| std::fs::read_to_string(bench.path("store").join(key)).unwrap_or_default().lines().count();
    bench.records("run/steps").iter().map(count).sum::<usize>() as u32
}

fn from(call: &str) -> u32 {
    call.split(" from ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}
