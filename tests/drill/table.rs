//! The table of the drill, as docs/drill.md has it.

use std::fmt::Write as _;

use super::cells::{CELLS, Cell, Expected, What, When, Who};
use super::ground::Outcome;
use super::random_kills::Kill;

const HEAD: &str = "# The drill

This page shows what happens to a run when something fails. `make drill` writes it (an hour). Each cell of the table is one failure in a run of 400 steps on two ranks, with a checkpoint every 50 steps; the cells are data
(`tests/drill/cells.rs`). In every cell the run ends with weights that are bit for bit those of a run without a failure.

- *continues*: the run finishes without help. If Slurm or the job script started it again, the number of starts is given.
- *ends*: the remaining processes end, with the message in the footnote, and the same command continues.
- Seconds run from the failure to that end. For a run that continues, they include the rest of the run and the time in the queue.

Ranks, launcher and store fail under `mpirun`; the store is an S3 server behind a proxy. Nodes and controller fail in a job of `slurm/train_large.sh` on virtual nodes with networks of their own.

";

/// The whole page.
pub(crate) fn page(played: &[(Cell, Outcome)], kills: &[(usize, Vec<Kill>)]) -> String {
    let mut page = HEAD.to_owned();
    let mut notes: Vec<String> = Vec::new();
    page.push_str("| who | what | start | step | checkpoint | end |\n|---|---|---|---|---|---|\n");
    for who in [Who::Rank, Who::Node, Who::Launcher, Who::Store, Who::Controller] {
        for what in [What::Killed, What::Stopped, What::Slow, What::Partitioned] {
            // Writing to a String does not fail.
            let _ = write!(page, "| {} | {}", word(&who), word(&what));
            for when in [When::Start, When::Step, When::Checkpoint, When::End] {
                let cell = CELLS.iter().find(|cell| (cell.who, cell.what, cell.when) == (who, what, when));
                let outcome = played.iter().find(|(of, _)| (of.who, of.what, of.when) == (who, what, when));
                let text = cell.map(|cell| entry(cell, outcome.map(|(_, outcome)| outcome), &mut notes));
                let _ = write!(page, " | {}", text.unwrap_or_default());
            }
            page.push_str(" |\n");
        }
    }
    page.push('\n');
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(page, "{}. {note}", number + 1);
    }
    page.push_str("\n## Kills at random moments\n\n");
    page.push_str("| ranks | kills | in time | the same weights | seconds until all have ended, median | most |\n|---|---|---|---|---|---|\n");
    for (ranks, kills) in kills {
        let mut seconds: Vec<f64> = kills.iter().filter(|kill| !kill.late).map(|kill| kill.to_end_s).collect();
        seconds.sort_unstable_by(f64::total_cmp);
        let same = kills.iter().filter(|kill| kill.same).count();
        let (median, most) = (seconds.get(seconds.len() / 2), seconds.last());
        let short = |seconds: Option<&f64>| seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
        let (all, in_time) = (kills.len(), seconds.len());
        let _ = writeln!(page, "| {ranks} | {all} | {in_time} | {same} | {} | {} |", short(median), short(most));
    }
    page
}

fn word(of: &dyn std::fmt::Debug) -> String {
    format!("{of:?}").to_lowercase()
}

/// What stands in a cell.
fn entry(cell: &Cell, outcome: Option<&Outcome>, notes: &mut Vec<String>) -> String {
    let mut note = |text: String| {
        let place = notes.iter().position(|note| *note == text).unwrap_or_else(|| {
            notes.push(text.clone());
            notes.len() - 1
        });
        place + 1
    };
    if let Expected::Nothing(reason) = cell.expected {
        return format!("does not apply ({})", note(reason.to_owned()));
    }
    let Some(outcome) = outcome else { return "not played".to_owned() };
    let seconds = format!("{:.0} s", outcome.seconds);
    match (outcome.went_on, cell.expected) {
        (true, _) if outcome.starts > 1 => format!("continues, {seconds}, {} starts", outcome.starts),
        (true, _) => format!("continues, {seconds}"),
        (false, Expected::Says(words)) => format!("ends, {seconds} ({})", note(format!("\u{201c}… {words} …\u{201d}"))),
        (false, _) => format!("ends, {seconds}"),
    }
}
