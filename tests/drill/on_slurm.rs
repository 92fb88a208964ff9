//! Cells of a Slurm job on virtual nodes: the published script trains on two of them, and a node or the controller is hit.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use system_tests::program;
use system_tests::slurm_cluster::Cluster;
use system_tests::tiny_run::{shards, text};

use super::cells::{Cell, What, When, Who};
use super::ground::{Ground, Outcome, SETTINGS, wait_for_moment};
use super::processes::{signal, slow};

/// Plays a cell of a node or of the controller; none without Slurm, or where the test is not root, whom networks of their own need.
pub(crate) fn play(ground: &Ground, test: &str, cell: &Cell) -> Option<Outcome> {
    let cluster = Cluster::start(test, false)?;
    let network = cluster.network()?;
    let name = format!("{cell}").replace(", ", "-").to_lowercase();
    let log = PathBuf::from(ground.bench.path(&format!("{name}.log")));
    let run = PathBuf::from(ground.bench.path(&name));
    let expected = ground.undisturbed(2);
    let id = submit(ground, &cluster, &run, &log);
    if (cell.who, cell.when) != (Who::Controller, When::Start) {
        let task = || cluster.process(&id, "worker", Some(1));
        cluster.wait("the tasks", &log, task);
    }
    wait_for_moment(&run, cell.when);
    let late = run.join("final.json").exists();
    let hit = Instant::now();
    let heal = strike(cell, &cluster, &network);
    let state = cluster.end_of(&id, &log);
    let seconds = hit.elapsed().as_secs_f64();
    heal();
    let log = std::fs::read_to_string(&log).unwrap_or_default();
    let same = run.join("final.json").exists() && ground.bench.final_digest(&name) == expected;
    let starts = std::fs::read_dir(run.join("attempts")).map_or(0, Iterator::count);
    Some(Outcome { seconds, starts, went_on: state == "COMPLETED", late, log, same })
}

fn submit(ground: &Ground, cluster: &Cluster, run: &Path, log: &Path) -> String {
    let output = cluster
        .command("sbatch")
        .envs([("SHARDS", text(&shards().0)), ("OUT", text(run)), ("CONFIG", &ground.bench.path("config.yaml"))])
        .env("WORKER", program("worker"))
        .args(["--parsable", "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=0", "--cpus-per-task=1", "--time=20"])
        .arg(format!("--output={}", log.display()))
        // The script runs on the first node; what is hit is the second.
        .arg("slurm/train_large.sh")
        .args(SETTINGS)
        .output()
        .expect("sbatch runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Does what the cell says, for as long as it says; what is given back undoes what lasts.
fn strike<'a>(cell: &Cell, cluster: &'a Cluster, network: &'a str) -> Box<dyn Fn() + 'a> {
    let lasts = Duration::from_secs(cell.lasts_s);
    let (victims, link) = match cell.who {
        Who::Controller => (cluster.daemon("slurmctld").into_iter().collect(), "uplink".to_owned()),
        _ => (processes_of(network, "n2"), "port2".to_owned()),
    };
    let set_link = move |state: &str| {
        let switch = format!("{network}-switch");
        let status = Command::new("ip").args(["-n", &switch, "link", "set", &link, state]).status();
        assert!(status.expect("ip runs").success(), "{switch} {link} {state}");
    };
    match cell.what {
        What::Killed => signal("KILL", &victims),
        What::Stopped => signal("STOP", &victims),
        What::Slow => slow(&victims, lasts),
        What::Partitioned => set_link("down"),
    }
    std::thread::sleep(if cell.what == What::Slow { Duration::ZERO } else { lasts });
    let heal = move || match cell.what {
        What::Killed if cell.who == Who::Controller => cluster.start_controller(),
        What::Stopped => signal("CONT", &victims),
        What::Partitioned => set_link("up"),
        _ => {}
    };
    if cell.lasts_s == 0 {
        let (what, pids) = (cell.what, processes_of(network, "n2"));
        return Box::new(move || {
            if what == What::Stopped {
                signal("CONT", &pids);
            }
        });
    }
    heal();
    Box::new(|| {})
}

/// All that runs on a node.
fn processes_of(network: &str, node: &str) -> Vec<u32> {
    let output =
        Command::new("ip").args(["netns", "pids", &format!("{network}-{node}")]).stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().filter_map(|process| process.parse().ok()).collect()
}
