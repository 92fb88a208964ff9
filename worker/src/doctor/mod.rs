//! `worker doctor`: is this machine fit to train, and if not, what to do. It changes nothing and leaves nothing.
//!
//! Each check gives a [`Finding`]; what the machine does not have is said to be not checked, never to be well. With several
//! ranks every one checks its own node, and the first prints for all (docs/doctor.md).

mod finding;
pub(crate) mod flops;
mod large;
mod node;
mod report;
mod selftest;
mod software;
mod storage;

use std::process::ExitCode;

use anyhow::{Context, Result};
use collective::broadcast_bytes;
use finding::Finding;
use report::Report;
use run_spec::config::{Collective, Device};

use training::{OpenDevice, Ranks};

use crate::cli::DoctorArgs;
use crate::device;
use crate::environment::{self, Environment};

/// Seconds that a rank waits for its peers.
const DEADLINE_S: f64 = 120.0;

/// Checks, prints, and gives exit code 1 if anything failed.
pub(crate) fn doctor(args: &DoctorArgs, environment: &Environment) -> Result<ExitCode> {
    let launch = environment.launch;
    let mut findings = software::check(args.device.into());
    findings.push(node::gpus());
    findings.push(node::slurm(environment::variable));
    findings.push(node::disk("temporary disk", &std::env::temp_dir()));
    let device = device::open(args.device.into(), args.threads, environment).or_else(|error| {
        let remedy = "see the checks of cuda, driver and gpus; --device cpu leaves the GPU out";
        findings.push(Finding::fail("device", crate::sentence(&error), remedy));
        device::open(Device::Cpu, args.threads, environment)
    })?;
    let ranks = crate::ranks::join(Collective::Auto, device.device, DEADLINE_S, environment);
    let ranks = ranks.unwrap_or_else(|error| {
        let remedy = "start the ranks with `srun --mpi=pmix` or `mpirun`, one for each GPU";
        findings.push(Finding::fail("ranks", crate::sentence(&error), remedy));
        Ranks::solo()
    });
    findings.extend(match launch.world {
        1 => {
            Some(Finding::not_checked("ranks", "one process; `mpirun -n 2 worker doctor` checks MPI between processes"))
        }
        world if world == ranks.world() => Some(Finding::ok("ranks", ranks.description())),
        _ => None,
    });
    // One rank is enough to test a store, and others would only slow it.
    if launch.rank == 0 {
        match &args.store {
            Some(uri) => {
                findings.extend(storage::check(uri));
                findings.extend(args.checkpoint_size.as_deref().map(|size| large::check(uri, size)));
            }
            None => findings.push(Finding::not_checked("store", "no --store given")),
        }
        findings.extend(args.shards.as_deref().map(storage::shards));
    }
    if args.quick {
        findings.push(Finding::not_checked("self-test", "left out by --quick"));
    } else {
        findings.extend(selftest::run(&ranks, &device));
    }
    let report = gathered(&ranks, &device, &environment.host, findings)?;
    if launch.rank == 0 {
        terminal::report(&report, args.json)?;
    }
    Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The report of all ranks; where they can no longer speak to each other, that of this one.
fn gathered(ranks: &Ranks, device: &OpenDevice, host: &str, mut findings: Vec<Finding>) -> Result<Report> {
    let description = format!("{host}, {}", device.description);
    let mine = serde_json::to_vec(&(&description, &findings))?;
    let mut all = (Vec::new(), Vec::new());
    for root in 0..ranks.world() {
        match broadcast_bytes(ranks.peers(), mine.clone(), root) {
            Ok(bytes) => {
                let (description, findings): (String, Vec<Finding>) =
                    serde_json::from_slice(&bytes).context("cannot read another rank's findings")?;
                all.0.push(description);
                all.1.push(findings);
            }
            Err(error) => {
                let remedy = "see what the other ranks say in their logs";
                findings.push(Finding::fail("ranks", error.to_string(), remedy));
                return Ok(Report::new(vec![description], vec![findings]));
            }
        }
    }
    Ok(Report::new(all.0, all.1))
}
