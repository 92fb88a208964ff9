//! One process per device: trains, probes, embeds and exports RedDino models.

mod augment_command;
mod baseline;
mod bench;
mod bench_ranks;
mod check_command;
mod cli;
mod config_file;
mod curves;
mod device;
mod doctor;
mod embed_command;
mod expect;
mod export_command;
mod failure;
mod features;
mod log;
mod memory;
mod metrics_command;
mod output;
mod plan;
mod probe_command;
mod ranks;
mod replay;
mod requeue;
mod signals;
mod step;
mod train_command;
mod transductive;
mod verify_command;
mod version;

use std::ffi::CString;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

fn main() -> ExitCode {
    if let Err(error) = with_environment() {
        // Only speed is at stake.
        let _ = writeln!(std::io::stderr(), "the environment could not be set: {error}");
    }
    log::begin();
    failure::report_panics();
    torch_shim::abort::say_on_abort(memory::LAST_WORDS);
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

/// What the C libraries read before `main`, where the user did not choose.
///
/// LibTorch's OpenMP threads spin while they wait, which makes small steps many times slower as soon as cores are shared (two
/// trials at once, data loading). And glibc gives large blocks back to the kernel when they are freed: a step on CPUs then
/// spends a tenth of its time having the same pages cleared again. Kept blocks raise the peak by less than a hundredth.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("OMP_WAIT_POLICY", "passive"),
    ("MALLOC_MMAP_THRESHOLD_", "4294967296"),
    ("MALLOC_TRIM_THRESHOLD_", "8589934592"),
    ("MALLOC_TOP_PAD_", "67108864"),
];

/// Starts the program again with [`ENVIRONMENT`], unless all of it is there. Signals that are held back stay so, which they
/// would not through the standard library.
fn with_environment() -> std::io::Result<()> {
    let missing: Vec<_> = ENVIRONMENT.iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let program = CString::new(std::env::current_exe()?.as_os_str().as_bytes())?;
    let args: Vec<CString> = std::env::args_os().map(|arg| CString::new(arg.into_vec())).collect::<Result<_, _>>()?;
    let kept = std::env::vars_os().map(|(name, value)| [name.as_bytes(), value.as_bytes()].join(&b'='));
    let added = missing.into_iter().map(|(name, value)| format!("{name}={value}").into_bytes());
    let all: Vec<CString> = kept.chain(added).map(CString::new).collect::<Result<_, _>>()?;
    match nix::unistd::execve(&program, &args, &all) {
        Ok(never) => match never {},
        Err(error) => Err(error.into()),
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Train(args) => return train_command::train(&args),
        Command::Verify(args) => return verify_command::run(&args),
        Command::Requeue(args) => return requeue::requeue(&args),
        Command::Step(args) => step::step(&args)?,
        Command::Probe(args) => probe_command::probe(&args)?,
        Command::Baseline(args) => probe_command::baseline(&args)?,
        Command::Check { command } => check_command::check(&command)?,
        Command::Curves(args) => curves::draw(&args)?,
        Command::Metrics(args) => metrics_command::metrics(&args)?,
        Command::Embed(args) => embed_command::embed(&args)?,
        Command::Export(args) => export_command::export(&args)?,
        Command::Augment(args) => augment_command::augment(&args.command)?,
        Command::Plan(args) => plan::plan(&args)?,
        Command::Bench(args) => bench::bench(&args)?,
        Command::Doctor(args) => return doctor::doctor(&args),
        Command::Version { json: true } => output::line(serde_json::json!({ "version": version::CODE })),
        Command::Version { json: false } => output::line(version::CODE),
    }
    Ok(ExitCode::SUCCESS)
}

/// An error and its causes as one sentence, with the remedy where memory was short.
fn sentence(error: &anyhow::Error) -> String {
    memory::with_remedy(run_folder::failure::sentence(error.as_ref()))
}
