//! The contract on MPI, in processes that `mpirun` starts: this file's tests run themselves again as ranks.
#![cfg(feature = "mpi")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "ranks report to the test; a skipped test must be seen")]

use collective::{Collective, CollectiveError, ControlChannel, Launch, Mpi, contract, sum_numbers};
use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

/// Says in a rank what it is to do.
const ROLE: &str = "REDDINO_MPI_ROLE";
/// A file by which one rank tells the other that it is time.
const SIGN: &str = "REDDINO_MPI_SIGN";

/// Runs the ranks of `test` in `role`; `None` where there is no mpirun.
fn mpirun(test: &str, role: &str, ranks: usize) -> Option<Output> {
    if Command::new("mpirun").arg("--version").output().is_err() {
        let required = std::env::var("REDDINO_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|what| what.trim() == "mpi"),
            "{test} needs mpirun, and REDDINO_REQUIRE names mpi"
        );
        eprintln!("SKIPPED: {test} needs mpirun: run `make setup`");
        return None;
    }
    let output = Command::new("mpirun")
        .args(["--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string()])
        .args(["-x", ROLE, "-x", SIGN])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "mpi::a_rank", "--nocapture"])
        .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"), (ROLE, role)])
        .env(SIGN, std::env::temp_dir().join(format!("reddino-mpi-{}", std::process::id())))
        .output()
        .unwrap();
    Some(output)
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn said(output: &Output, what: &str) -> usize {
    text(output).matches(what).count()
}

/// What a rank does; nothing where no role is given, as in a plain test run.
#[test]
fn a_rank() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let deadline = if role == "deadline" { Duration::from_millis(300) } else { Duration::from_secs(120) };
    let mpi = Mpi::join(&Launch::of(|name| std::env::var(name).ok()), deadline).unwrap();
    match role.as_str() {
        "contract" => {
            contract::check(&mpi).unwrap();
            println!("rank {} kept the contract", Collective::rank(&mpi));
        }
        "abort" => {
            contract::check_abort(&mpi);
            println!("rank {} saw the abort", Collective::rank(&mpi));
        }
        "deadline" => {
            let gave_up = PathBuf::from(std::env::var(SIGN).unwrap());
            if Collective::rank(&mpi) == 0 {
                let error = mpi.barrier().unwrap_err();
                assert!(matches!(&error, CollectiveError::Aborted { reason } if reason.contains("waited")), "{error}");
                println!("rank 0 gave up: {error}");
                std::fs::write(gave_up, "").unwrap();
            } else {
                // However late its first call is, it hears of it there.
                while !gave_up.exists() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                println!("rank 1 was told: {}", sum_numbers(&mpi, &[1.0]).unwrap_err());
            }
        }
        "line" => {
            let rank = ControlChannel::rank(&mpi);
            let own = if rank == 0 { vec![9; 128] } else { Vec::new() };
            assert_eq!(mpi.broadcast_bytes_of_root(own).unwrap(), [9; 128]);
            assert_eq!(mpi.peer_failure(), None);
            // Rank 1 may speak before another rank has left the barrier, which then hears it there.
            match mpi.barrier() {
                Err(CollectiveError::Aborted { .. }) if rank != 1 => {}
                outcome => outcome.unwrap(),
            }
            if rank == 1 {
                mpi.announce_failure("rank 1 gave up: its GPU fell off");
            }
            // Nobody makes a call any more: the word comes by itself.
            let word = loop {
                if let Some(word) = mpi.peer_failure() {
                    break word;
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            println!("rank {rank} heard: {word}");
        }
        other => panic!("no role {other}"),
    }
}

#[test]
fn mpi_keeps_the_contract() {
    for ranks in [1, 2, 3] {
        let Some(output) = mpirun("mpi_keeps_the_contract", "contract", ranks) else { return };
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(said(&output, "kept the contract"), ranks, "{}", text(&output));
    }
}

#[test]
fn a_rank_that_gives_up_is_heard_by_those_who_wait_for_it() {
    let Some(output) = mpirun("a_rank_that_gives_up_is_heard", "abort", 3) else { return };
    assert_eq!(said(&output, "saw the abort"), 3, "{}", text(&output));
}

#[test]
fn a_peer_that_does_not_come_ends_the_wait() {
    let outcome = mpirun("a_peer_that_does_not_come_ends_the_wait", "deadline", 2);
    let _ = std::fs::remove_file(std::env::temp_dir().join(format!("reddino-mpi-{}", std::process::id())));
    let Some(output) = outcome else { return };
    assert_eq!(said(&output, "rank 0 gave up"), 1, "{}", text(&output));
    assert_eq!(said(&output, "rank 1 was told"), 1, "{}", text(&output));
}

#[test]
fn as_a_line_it_hands_out_bytes_and_carries_bad_news_between_calls() {
    let Some(output) = mpirun("as_a_line_it_hands_out_bytes", "line", 3) else { return };
    assert_eq!(said(&output, "heard: rank 1 gave up: its GPU fell off"), 3, "{}", text(&output));
}
