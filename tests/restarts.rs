//! The published batch script with an srun and a scontrol that only note what they are asked: a step that ends before its time
//! starts again within its allocation as long as it comes further, and then goes back into the queue.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use system_tests::tiny_run::{Bench, shards, text};
use system_tests::{program, root};

/// Starts the program that follows its options.
const SRUN: &str = "#!/bin/sh\nwhile case $1 in --*) true;; *) false;; esac; do shift; done\nexec \"$@\"\n";
const SCONTROL: &str = "#!/bin/sh\necho \"$@\" >>\"$NOTES/scontrol.txt\"\n";
/// A worker whose start number N trains up to the step in line N of the plan and is then lost (87); where the line says `none` it
/// is lost at once, and where it says `end` it trains to the end.
const WORKER: &str = r#"#!/bin/sh
[ "$1" = train ] || exec "$REAL" "$@"
echo >>"$NOTES/starts.txt"
to=$(sed -n "$(wc -l <"$NOTES/starts.txt")p" "$NOTES/plan.txt")
case $to in
  end) exec "$REAL" "$@" ;;
  none) exit 87 ;;
  *) "$REAL" "$@" --stop-at "$to"; exit 87 ;;
esac
"#;

fn write_program(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made a program");
}

/// Runs slurm/train_large.sh as Slurm would, as start number `restart` of the job.
fn batch(bench: &Bench, restart: u32) -> Output {
    let folder = bench.folder.path();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    Command::new("bash")
        .arg(root().join("slurm/train_large.sh"))
        .current_dir(root())
        .envs([("PATH", path.as_str()), ("REDDINO", text(&root())), ("SLURM_JOB_ID", "812"), ("RESTARTS", "2")])
        .env("SLURM_RESTART_COUNT", restart.to_string())
        .envs([("SHARDS", text(&shards().0)), ("OUT", &bench.path("run")), ("CONFIG", &bench.path("config.yaml"))])
        .envs([("WORKER", folder.join("worker")), ("REAL", program("worker")), ("NOTES", folder.to_owned())])
        .output()
        .expect("bash runs")
}

fn record(bench: &Bench, key: &str) -> Value {
    let text = std::fs::read_to_string(bench.folder.path().join("run").join(key)).expect("a record");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_step_that_ends_before_its_time_starts_again_where_it_was_and_then_by_way_of_the_queue() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    for (name, content) in [("srun", SRUN), ("scontrol", SCONTROL), ("worker", WORKER)] {
        write_program(folder, name, content);
    }
    std::fs::write(folder.join("plan.txt"), "5\n10\n15\nnone\nend\n").expect("written");
    // Twice it came further: within the allocation. The third time is one too many, and the fourth start brings nothing.
    for (restart, here, queued) in [(0, 2, true), (1, 0, true), (2, 0, false)] {
        let output = batch(&bench, restart);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        let again = "starts its job step again within this allocation (exit code 87)";
        assert_eq!(said.matches(again).count(), here, "{said}");
        assert_eq!(said.contains("job 812 is put back into the queue"), queued, "{said}");
    }
    let notes = std::fs::read_to_string(folder.join("scontrol.txt")).expect("it was asked");
    assert_eq!(notes, "requeue 812\nrequeue 812\n");
    let restarts = (1..=4).map(|number| record(&bench, &format!("restarts/{number:04}.json")));
    let restarts: Vec<_> = restarts.map(|one| (one["step"].as_u64().expect("a step"), one["here"] == true)).collect();
    assert_eq!(restarts, [(5, true), (10, true), (15, false), (15, false)]);
    bench.train("undisturbed", &[]);
    assert_eq!(bench.final_digest("run"), bench.final_digest("undisturbed"));
    let held = &record(&bench, "final.json")["checkpoint"]["held"];
    assert!(held["goodput"].as_f64().is_some_and(|goodput| goodput > 0.0 && goodput <= 1.0), "{held}");
    assert_eq!(held["unknown_ends"], 0, "each stop was written down: {held}");
}
