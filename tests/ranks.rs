//! One run on several processes: the same samples and the same weights on any number of them, before and after a kill; and what
//! is said when they are not the world that they seem to be, or one of them dies.
//! Without mpirun these tests are skipped and say so.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use system_tests::tiny_run::{Bench, shards, text};
use system_tests::{program, run};

const F64: [&str; 2] = ["--set", "train.precision=f64"];

fn train_args<'a>(config: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", config, "--shards", text(&shards().0), "--out", out];
    args.extend(more);
    args
}

/// Trains `out` to its end on `ranks` processes; false where there is no mpirun.
fn train_on(bench: &Bench, test: &str, ranks: usize, out: &str, more: &[&str]) -> bool {
    let (config, out) = (bench.path("config.yaml"), bench.path(out));
    let Some(mut command) = bench.mpirun(test, ranks, &train_args(&config, &out, more)) else { return false };
    let output = command.output().expect("mpirun starts");
    assert!(output.status.success(), "{ranks} ranks: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Trains and kills all ranks with SIGKILL directly after the line of step `after`.
fn train_and_kill(mut command: Command, after: u64) {
    let mut child =
        command.arg("--print-metrics").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("mpirun starts");
    let reader = BufReader::new(child.stdout.take().expect("a pipe"));
    for line in reader.lines() {
        let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        if line["step"].as_u64() >= Some(after) {
            break;
        }
    }
    // Ranks of a launcher that is killed end too: their connection to it breaks.
    child.kill().expect("killed");
    child.wait().expect("reaped");
}

/// A tensor as a safetensors file has it: dtype, shape, bytes.
type Raw = (String, Vec<u64>, Vec<u8>);

fn read_tensors(file: &Path) -> BTreeMap<String, Raw> {
    let bytes = std::fs::read(file).expect("a file");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let entries = header.as_object().expect("an object").iter().filter(|(name, _)| *name != "__metadata__");
    let one = |entry: &Value| {
        let edge = |i: usize| 8 + length + entry["data_offsets"][i].as_u64().expect("an offset") as usize;
        let shape = entry["shape"].as_array().expect("a shape").iter().filter_map(Value::as_u64).collect();
        (entry["dtype"].as_str().expect("a dtype").to_owned(), shape, bytes[edge(0)..edge(1)].to_vec())
    };
    entries.map(|(name, entry)| (name.clone(), one(entry))).collect()
}

fn write_tensors(file: &Path, tensors: &BTreeMap<String, Raw>) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (dtype, shape, bytes)) in tensors {
        let edges = [data.len(), data.len() + bytes.len()];
        header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": edges }));
        data.extend(bytes);
    }
    let header = Value::Object(header).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    std::fs::write(file, bytes).expect("written");
}

/// The tensors of a safetensors file as numbers, by name.
fn numbers(file: &Path) -> BTreeMap<String, Vec<f64>> {
    let one = |(name, (dtype, _, data)): (String, Raw)| {
        let numbers = match dtype.as_str() {
            "F64" => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8"))).collect(),
            "F32" => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("4")))).collect(),
            "I64" => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("8")) as f64).collect(),
            other => panic!("dtype {other}"),
        };
        (name, numbers)
    };
    read_tensors(file).into_iter().map(one).collect()
}

/// The file of a run's last checkpoint.
fn last_checkpoint(bench: &Bench, out: &str) -> PathBuf {
    let folder = bench.folder.path().join(out);
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("final.json")).expect("the run is done"))
            .expect("JSON");
    folder.join(record["checkpoint"]["key"].as_str().expect("a key"))
}

fn final_numbers(bench: &Bench, out: &str) -> BTreeMap<String, Vec<f64>> {
    numbers(&last_checkpoint(bench, out))
}

/// Largest difference relative to a tensor's largest element. A key bias has no gradient but rounding noise, which AdamW
/// blows up, so the middle third of a qkv bias is left out (docs/step-files.md).
fn gap(a: &BTreeMap<String, Vec<f64>>, b: &BTreeMap<String, Vec<f64>>) -> (f64, String) {
    assert!(a.keys().eq(b.keys()), "the same tensors");
    let mut worst = (0.0, String::new());
    for (name, x) in a {
        let y = &b[name];
        assert_eq!(x.len(), y.len(), "{name}");
        let third = if name.ends_with("attn.qkv.bias") { x.len() / 3 } else { 0 };
        let scale = x.iter().fold(1e-3_f64, |m, v| m.max(v.abs()));
        for (i, (u, v)) in x.iter().zip(y).enumerate() {
            if third > 0 && i / third == 1 {
                continue;
            }
            let gap = (u - v).abs() / scale;
            if gap > worst.0 || gap.is_nan() {
                worst = (gap, format!("{name}[{i}] {u} {v}"));
            }
        }
    }
    worst
}

/// A line of the table that `cargo test --test system ranks -- --show-output` gives.
#[allow(clippy::print_stdout, reason = "the figures are what a reader of the test's output wants")]
fn tell(what: &str, gap: f64) {
    println!("{what}: largest relative difference {gap:.1e}");
}

fn of_lines(bench: &Bench, out: &str, key: &str) -> Vec<Value> {
    bench.lines(out).iter().map(|line| line[key].clone()).collect()
}

#[test]
fn one_to_four_processes_train_the_same_model() {
    let bench = Bench::new();
    bench.train("one", &F64);
    let one = final_numbers(&bench, "one");
    for ranks in [2, 3, 4] {
        let out = format!("on-{ranks}");
        if !train_on(&bench, "one_to_four_processes_train_the_same_model", ranks, &out, &F64) {
            return;
        }
        assert_eq!(of_lines(&bench, &out, "samples"), of_lines(&bench, "one", "samples"), "{ranks} ranks: samples");
        let (gap, at) = gap(&one, &final_numbers(&bench, &out));
        tell(&format!("24 steps in f64 on {ranks} ranks, against 1"), gap);
        assert!(gap < 1e-9, "{ranks} ranks: {gap:.1e} at {at}");
        assert!(bench.lines(&out).iter().all(|line| line["all_reduce_s"].as_f64() > Some(0.0)));
    }
}

#[test]
fn killed_on_two_processes_it_goes_on_to_the_bit_and_on_one_three_and_four_too() {
    let test = "killed_on_two_processes_it_goes_on";
    let bench = Bench::new();
    // f32 on the same number of processes: to the bit.
    if !train_on(&bench, test, 2, "whole", &[]) {
        return;
    }
    let config = bench.path("config.yaml");
    for (out, more) in [("again", &[][..]), ("one", &F64), ("three", &F64), ("four", &F64)] {
        let out_path = bench.path(out);
        let command = bench.mpirun(test, 2, &train_args(&config, &out_path, more)).expect("mpirun");
        train_and_kill(command, 11);
    }
    train_on(&bench, test, 2, "again", &[]);
    assert_eq!(bench.final_digest("again"), bench.final_digest("whole"));
    // f64 on another number: to rounding.
    bench.train("undisturbed", &F64);
    bench.train("one", &F64);
    train_on(&bench, test, 3, "three", &F64);
    train_on(&bench, test, 4, "four", &F64);
    let undisturbed = final_numbers(&bench, "undisturbed");
    for out in ["one", "three", "four"] {
        assert_eq!(of_lines(&bench, out, "samples"), of_lines(&bench, "undisturbed", "samples"), "{out}: samples");
        let (gap, at) = gap(&undisturbed, &final_numbers(&bench, out));
        tell(&format!("24 steps in f64, killed on 2 ranks and resumed on {out}, against 1 undisturbed"), gap);
        assert!(gap < 1e-9, "resumed on {out}: {gap:.1e} at {at}");
    }
}

#[test]
fn processes_that_share_the_moments_end_in_the_same_bytes() {
    let test = "processes_that_share_the_moments_end_in_the_same_bytes";
    let bench = Bench::new();
    let (zero1, parts) = (["--set", "train.zero1=true"], ["--set", "checkpoint.sharded=true"]);
    let both = [zero1, parts].concat();
    for ranks in [2, 3] {
        let out = |what: &str| format!("{what}-{ranks}");
        for (what, more) in [("plain", &[][..]), ("zero1", &zero1[..]), ("parts", &both[..])] {
            if !train_on(&bench, test, ranks, &out(what), more) {
                return;
            }
        }
        for what in ["zero1", "parts"] {
            assert_eq!(bench.final_digest(&out(what)), bench.final_digest(&out("plain")), "{what}, {ranks} processes");
        }
    }
    // Begun on two processes that share, and killed; then on two that do not.
    let (config, out) = (bench.path("config.yaml"), bench.path("killed"));
    train_and_kill(bench.mpirun(test, 2, &train_args(&config, &out, &zero1)).expect("mpirun"), 11);
    train_on(&bench, test, 2, "killed", &[]);
    assert_eq!(bench.final_digest("killed"), bench.final_digest("plain-2"));
}

#[test]
fn a_signal_to_one_process_stops_all_after_the_same_step() {
    let bench = Bench::new();
    let (config, out) = (bench.path("config.yaml"), bench.path("stopped"));
    let args = train_args(&config, &out, &["--print-metrics"]);
    let Some(mut command) = bench.mpirun("a_signal_to_one_process_stops_all", 2, &args) else { return };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("mpirun starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    lines.next();
    // The second rank alone hears of it.
    let pid = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).expect("children");
    let last = pid.split_whitespace().last().expect("two ranks").to_owned();
    assert!(Command::new("kill").args(["-USR1", &last]).status().expect("kill runs").success());
    lines.for_each(drop);
    assert_eq!(child.wait().expect("reaped").code(), Some(85));
    let stopped = bench.lines("stopped").len();
    assert!(stopped < 24, "it stopped after {stopped} of 24 steps");
    // Undisturbed on two processes it ends the same.
    train_on(&bench, "a_signal_to_one_process_stops_all", 2, "whole", &[]);
    train_on(&bench, "a_signal_to_one_process_stops_all", 2, "stopped", &[]);
    assert_eq!(bench.final_digest("stopped"), bench.final_digest("whole"));
}

/// A case of `worker step` (docs/step-files.md): two loss groups of three images, on the weights of a short run.
fn step_case(bench: &Bench) -> [String; 3] {
    let settings = json!({
        "model": {"dim": 32, "depth": 2, "heads": 2, "patch": 14},
        "loss": {"n_local": 2, "dino_normaliser": "terms", "koleo_weight": 0.1},
        "optim": {"epochs": 2, "epoch_length": 8, "lr": 0.002},
        "ranks": 2, "steps": 2, "start_iteration": 3,
    });
    bench.train("weights", &["--set", "optim.epoch_length=2", "--set", "optim.warmup_epochs=0.5"]);
    let mut weights = read_tensors(&last_checkpoint(bench, "weights"));
    weights.retain(|name, _| name.starts_with("student.") || name.starts_with("teacher."));
    let mut state = 1_u32;
    let mut noise = |count: u64| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).flat_map(|_| next().to_le_bytes()).collect()
    };
    let mut batches = BTreeMap::new();
    for (step, group) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for (name, rows, side) in [("global_crops", 6_u64, 56_u64), ("local_crops", 6, 28)] {
            let bytes = noise(rows * 3 * side * side);
            batches
                .insert(format!("batch.{step}.{group}.{name}"), ("F32".to_owned(), vec![rows, 3, side, side], bytes));
        }
        // Every second crop is masked, by a third.
        let masks: Vec<u8> =
            (0..6 * 16).map(|i: u32| u8::from((i / 16).is_multiple_of(2) && i.is_multiple_of(3))).collect();
        batches.insert(format!("batch.{step}.{group}.masks"), ("U8".to_owned(), vec![6, 16], masks));
    }
    let at = |file: &str| bench.folder.path().join(file);
    std::fs::write(at("settings.json"), settings.to_string()).expect("written");
    write_tensors(&at("case-weights"), &weights);
    write_tensors(&at("case-batches"), &batches);
    ["settings.json", "case-weights", "case-batches"].map(|file| bench.path(file))
}

#[test]
fn a_step_file_gives_the_same_on_two_and_three_processes() {
    let bench = Bench::new();
    let [settings, weights, batches] = step_case(&bench);
    let (one, several) = (bench.path("one"), bench.path("several"));
    let args = |out| {
        let case = ["step", "--settings", &settings, "--weights", &weights, "--batches", &batches, "--out", out];
        [&case[..], &["--dtype", "f64", "--grads", "all", "--threads", "1"]].concat()
    };
    run("worker", &args(&one));
    for ranks in [2, 3] {
        let test = "a_step_file_gives_the_same_on_two_and_three_processes";
        let Some(mut command) = bench.mpirun(test, ranks, &args(&several)) else { return };
        let output = command.output().expect("mpirun starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (gap, name) = gap(&numbers(one.as_ref()), &numbers(several.as_ref()));
        tell(&format!("worker step, 2 steps in f64 on {ranks} ranks, against 1"), gap);
        assert!(gap < 1e-9, "{ranks} ranks: {gap:.1e} at {name}");
    }
}

#[test]
fn tasks_that_mpi_takes_for_worlds_of_one_are_refused_before_they_write() {
    let bench = Bench::new();
    if bench.mpirun("tasks_that_mpi_takes_for_worlds_of_one", 2, &[]).is_none() {
        return;
    }
    let (config, out) = (bench.path("config.yaml"), bench.path("singletons"));
    // What `srun` sets for two tasks; no launcher is there that could join them.
    for collective in ["collective=auto", "collective=mpi"] {
        let tasks: Vec<_> = ["0", "1"]
            .map(|rank| {
                let mut task = Command::new(program("worker"));
                task.args(train_args(&config, &out, &["--set", collective])).stderr(Stdio::piped());
                task.env("SLURM_STEP_NUM_TASKS", "2");
                for name in ["SLURM_PROCID", "SLURM_LOCALID", "PMIX_RANK"] {
                    task.env(name, rank);
                }
                task.spawn().expect("it starts")
            })
            .into_iter()
            .map(|task| task.wait_with_output().expect("reaped"))
            .collect();
        for task in tasks {
            let said = String::from_utf8_lossy(&task.stderr);
            assert_eq!(task.status.code(), Some(1), "{said}");
            assert!(said.contains("the launcher started 2 tasks, but MPI joined 1 of them"), "{said}");
            assert!(said.contains("srun --mpi=pmix") && said.contains("mpirun -n 2"), "{said}");
        }
    }
    assert!(!bench.folder.path().join("singletons").exists(), "nothing was written");
}

/// The processes that mpirun started.
fn ranks_of(mpirun: u32) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{mpirun}/task/{mpirun}/children")).expect("children");
    children.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_killed_process_is_named_with_its_host_and_its_last_collective() {
    let bench = Bench::new();
    let (config, out) = (bench.path("config.yaml"), bench.path("killed"));
    let args = train_args(&config, &out, &["--print-metrics", "--set", "optim.epoch_length=1000000"]);
    let Some(mut command) = bench.mpirun("a_killed_process_is_named", 2, &args) else { return };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("mpirun starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    lines.next();
    // Long enough for each to have said where it is.
    let began = std::time::Instant::now();
    while began.elapsed().as_secs() < 1 {
        lines.next();
    }
    let victim = ranks_of(child.id()).pop().expect("two ranks");
    assert!(Command::new("kill").args(["-KILL", &victim]).status().expect("kill runs").success());
    lines.for_each(drop);
    let said = String::from_utf8_lossy(&child.wait_with_output().expect("reaped").stderr).into_owned();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let host = host.trim();
    let words = format!("rank 1 ({host}, process {victim}) ended without a message");
    let line = said.lines().find(|line| line.contains(&words)).unwrap_or_else(|| panic!("{words}: {said}"));
    assert!(line.contains("(call ") && line.contains("at step "), "{line}");
    let label = format!("rank=0 host={host} ");
    let logged: Vec<&str> = said.lines().filter(|line| line.contains(" INFO ") || line.contains("error: ")).collect();
    assert!(logged.len() > 1 && logged.iter().all(|line| line.starts_with(&label)), "{said}");
}

#[test]
fn mpirun_that_gives_two_seconds_costs_steps_and_no_more() {
    let bench = Bench::new();
    let test = "mpirun_that_gives_two_seconds";
    let (config, out) = (bench.path("config.yaml"), bench.path("ended"));
    // Long enough not to have ended before mpirun has passed the signal on.
    let steps = ["--set", "optim.epoch_length=150"];
    let args = train_args(&config, &out, &[&["--print-metrics"], &steps[..]].concat());
    let Some(mut command) = bench.mpirun(test, 2, &args) else { return };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("mpirun starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    (0..7).for_each(|_| drop(lines.next()));
    // mpirun sends TERM to its ranks, and soon after KILL, whether their checkpoint is written or not.
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs").success());
    lines.for_each(drop);
    assert!(!child.wait().expect("reaped").success());
    assert!(!bench.folder.path().join("ended/final.json").exists());
    train_on(&bench, test, 2, "ended", &steps);
    train_on(&bench, test, 2, "whole", &steps);
    assert_eq!(bench.final_digest("ended"), bench.final_digest("whole"));
}

#[test]
fn a_rank_that_hangs_while_it_starts_ends_the_others() {
    let bench = Bench::new();
    let (config, out) = (bench.path("config.yaml"), bench.path("run"));
    let args = train_args(&config, &out, &["--set", "train.step_deadline_s=2", "--set", "store.retry_for=0"]);
    let Some(mut command) = bench.mpirun("a_rank_that_hangs_while_it_starts", 1, &args) else { return };
    // The second rank is a process that never comes to MPI.
    let output = command.args([":", "-n", "1", "sleep", "600"]).output().expect("mpirun starts");
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(87), "{log}");
    assert!(log.contains("rank 0 (") && log.contains("has waited 2 s for all 2 ranks to join"), "{log}");
}
