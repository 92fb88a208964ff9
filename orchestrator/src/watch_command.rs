//! `orchestrator watch`: a sweep on a terminal while it runs, wherever it runs. It only reads: leaving it stops nothing.

mod view;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, Result};
use clock::{Clock, SystemClock};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use store::Store;

use crate::cli::WatchArgs;
use crate::live::Picture;
use crate::live::reader::Reader;
use crate::records::Plan;
use crate::show;
use crate::slurm::control;
use crate::target;
use crate::trial_filter::Globs;
use view::{Palette, Watch};

/// Trials that are looked at in a second, beside waiting for the store.
const TRIALS: usize = 50;
/// How long a key waits at most.
const EVENTS: Duration = Duration::from_millis(200);

/// Watches a sweep until a person leaves.
pub(crate) fn run(args: &WatchArgs) -> Result<ExitCode> {
    let (store, plan) = target::sweep(&args.target)?;
    if !std::io::stdout().is_terminal() {
        let matrix = show::matrix(Some(&store), &plan, &Globs::new(&[])?, &control::places(&store, &plan)?)?;
        terminal::line(matrix.text(plan.slots));
        terminal::note("This is not a terminal, so `watch` shows the status once; `status` does the same.");
        return Ok(ExitCode::SUCCESS);
    }
    let palette = if terminal::has_colours(&std::io::stdout()) { Palette::Colours } else { Palette::Plain };
    let every = Duration::from_secs_f64(args.every_s);
    let leave = AtomicBool::new(false);
    let (sender, pictures) = mpsc::channel();
    let mut terminal = ratatui::init();
    let shown = std::thread::scope(|threads| {
        threads.spawn(|| read(&store, &plan, every, &leave, &sender));
        let shown =
            show_until_left(&mut terminal, Watch::new(Reader::new(&store, &plan).picture(), palette), &pictures);
        leave.store(true, Ordering::SeqCst);
        shown
    });
    ratatui::restore();
    shown?;
    terminal::line(format!("Sweep {} continues; `orchestrator cancel {}` stops it.", plan.name, args.target.target));
    Ok(ExitCode::SUCCESS)
}

/// What the thread that reads has to say.
enum News {
    Picture(Picture),
    /// The store could not be read, in a sentence.
    Trouble(String),
}

/// Reads the sweep again and again until a person leaves.
fn read(store: &Store, plan: &Plan, every: Duration, leave: &AtomicBool, news: &Sender<News>) {
    let (mut reader, clock) = (Reader::new(store, plan), SystemClock::default());
    while !leave.load(Ordering::SeqCst) {
        let began = clock.now();
        let found = match reader.read(TRIALS) {
            Ok(()) => News::Picture(reader.picture()),
            Err(error) => News::Trouble(format!("{error:#}")),
        };
        if news.send(found).is_err() {
            return;
        }
        let until = clock.now() + reader.rest(clock.now() - began, every);
        while clock.now() < until && !leave.load(Ordering::SeqCst) {
            clock.sleep(EVENTS.min(until.saturating_sub(clock.now())));
        }
    }
}

fn show_until_left(terminal: &mut DefaultTerminal, mut watch: Watch, news: &Receiver<News>) -> Result<()> {
    loop {
        for news in news.try_iter() {
            match news {
                News::Picture(picture) => watch.on_picture(picture),
                News::Trouble(words) => watch.on_trouble(words),
            }
        }
        terminal.draw(|frame| view::draw(frame, &mut watch)).context("cannot draw on the terminal")?;
        if event::poll(EVENTS).context("wait for a key")?
            && let Event::Key(key) = event::read().context("cannot read a key")?
            && key.kind != KeyEventKind::Release
            && watch.on_key(key)
        {
            return Ok(());
        }
    }
}
