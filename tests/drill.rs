//! The drill: which process is hit by which fault and when, and how the run ends. Eight cells run with all tests; `make drill` runs all
//! of them and kills runs at random moments, and writes docs/drill.md.

mod cells;
mod ground;
mod on_mpirun;
mod on_slurm;
mod processes;
mod random_kills;
mod table;

use std::time::Instant;

use cells::{CELLS, Cell, Expected, What, When, Who};
use ground::{Ground, Outcome};

/// Names the file of the table, where all cells are to be played; after a colon, words of which a cell's name must contain one, separated
/// by commas; `random` among them for the kills at random moments, or `random-4` for those of four ranks alone.
const ALL: &str = "REDDINO_DRILL";
/// Kills of each number of ranks.
const KILLS: usize = 20;

/// Plays a cell and checks it; none where what it needs is not installed.
fn play(ground: &Ground, test: &str, cell: &Cell) -> Option<Outcome> {
    let outcome = match cell.who {
        Who::Rank | Who::Launcher => on_mpirun::play(ground, test, cell),
        Who::Store => on_mpirun::play_store(ground, test, cell),
        Who::Node | Who::Controller => on_slurm::play(ground, test, cell),
    }?;
    outcome.verify(cell);
    Some(outcome)
}

fn plays(test: &str, cells: &[(Who, What, When)]) {
    let ground = Ground::new();
    for (who, what, when) in cells {
        play(&ground, test, &cells::of(*who, *what, *when));
    }
}

#[test]
fn drill_a_rank_that_is_killed_or_stopped_between_steps_and_at_a_checkpoint() {
    plays(
        "drill_a_rank",
        &[
            (Who::Rank, What::Killed, When::Step),
            (Who::Rank, What::Killed, When::Checkpoint),
            (Who::Rank, What::Stopped, When::Step),
        ],
    );
}

#[test]
fn drill_a_launcher_that_is_killed_and_one_that_is_stopped_for_a_while() {
    plays("drill_a_launcher", &[(Who::Launcher, What::Killed, When::Step), (Who::Launcher, What::Stopped, When::End)]);
}

#[test]
fn drill_a_store_that_is_away_at_a_checkpoint_and_one_whose_answers_are_lost() {
    plays(
        "drill_a_store",
        &[(Who::Store, What::Killed, When::Checkpoint), (Who::Store, What::Partitioned, When::Step)],
    );
}

#[test]
fn drill_a_node_that_is_cut_off_while_it_goes_on_computing() {
    plays("drill_a_node", &[(Who::Node, What::Partitioned, When::Step)]);
}

#[test]
fn every_cell_is_there_once_and_says_what_is_expected() {
    for (i, cell) in CELLS.iter().enumerate() {
        let same = |other: &&Cell| (other.who, other.what, other.when) == (cell.who, cell.what, cell.when);
        assert_eq!(CELLS.iter().filter(same).count(), 1, "{cell}");
        assert_eq!(matches!(cell.expected, Expected::Nothing(_)), cell.within_s == 0, "cell {i}: {cell}");
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "an hour's work shows where it is")]
fn the_whole_drill() {
    let Ok(wanted) = std::env::var(ALL) else { return };
    let (file, words) = wanted.split_once(':').unwrap_or((&wanted, ""));
    let ground = Ground::new();
    let (mut played, mut failed) = (Vec::new(), Vec::new());
    let wanted = |cell: &&Cell| {
        let name = format!("{cell}").to_lowercase();
        words.split(',').any(|word| name.contains(&word.to_lowercase()))
    };
    for cell in CELLS.iter().filter(|cell| cell.within_s > 0).filter(wanted) {
        let began = Instant::now();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(&ground, "the_whole_drill", cell)));
        let took = began.elapsed().as_secs_f64();
        match outcome {
            Ok(Some(outcome)) => {
                println!(
                    "{cell}: {} in {:.1} s, {} starts ({took:.0} s)",
                    if outcome.went_on { "goes on" } else { "ends" },
                    outcome.seconds,
                    outcome.starts
                );
                played.push((*cell, outcome));
            }
            Ok(None) => println!("{cell}: not played"),
            Err(_) => {
                println!("{cell}: FAILED ({took:.0} s)");
                failed.push(format!("{cell}"));
            }
        }
    }
    let mut kills = Vec::new();
    let named = |ranks: &usize| words.split(',').any(|word| ["", "random", &format!("random-{ranks}")].contains(&word));
    for ranks in [1, 2, 4].iter().filter(|ranks| named(ranks)) {
        let of = random_kills::play(&ground, *ranks, KILLS).expect("mpirun");
        println!("{ranks} ranks, killed at random: {of:?}");
        assert!(of.iter().all(|kill| kill.same), "{ranks} ranks: {of:?}");
        kills.push((*ranks, of));
    }
    std::fs::write(system_tests::root().join(file), table::page(&played, &kills)).expect("the table is written");
    assert!(failed.is_empty(), "{failed:?}");
}
