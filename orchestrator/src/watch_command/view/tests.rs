use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::live::tests::{picture, trial};

fn screen(watch: &mut Watch, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, watch)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

/// A sweep with a trial of each kind.
fn mixed() -> Vec<Shown> {
    let mut running = Shown {
        stage: "train".into(),
        step: Some(1_250),
        steps: 32_000,
        since: Some(9_000),
        words: "process 7 on n1".into(),
        ..trial("koleo-on/seed-0", Standing::Running)
    };
    (0..600).for_each(|step| running.losses.push(step, 9.5 - step as f64 / 100.0));
    let silent = Shown { since: Some(100), ..trial("views-8-local-crops-with-a-long-name/seed-1", Standing::Running) };
    let failed = Shown {
        words: "train: exit code 1: the loss is not a number".into(),
        ..trial("n_local=0/seed-0", Standing::Failed)
    };
    let done = Shown { score: Some(0.8567), took_s: Some(423.0), ..trial("reference/seed-0", Standing::Finished) };
    vec![done, failed, trial("reference/seed-1", Standing::Open), running, silent]
}

#[test]
fn everything_that_matters_fits_into_80_by_24() {
    let mut watch = Watch::new(picture(mixed()), Palette::Colours);
    let lines = screen(&mut watch, 80, 24);
    assert!(lines[0].starts_with("ablations 1a2b3c4d 1 done, 2 running, 1 to run, 1 failed"), "{}", lines[0]);
    assert!(lines[1].contains("2 of 5; about 3m32s left"), "{}", lines[1]);
    let of = |label: &str| {
        lines.iter().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("{label}: {lines:#?}"))
    };
    let running: Vec<&str> = of("koleo-on/seed-0").split_whitespace().collect();
    assert_eq!(running[1..5], ["train", "1250/32000", "3.525", "16m40s"], "{running:?}");
    assert!(of("reference/seed-0").contains("85.7"), "{}", of("reference/seed-0"));
    let silent = of("views-8-loca…/seed-1");
    assert!(silent.contains("silent?"), "what has written nothing is marked without colour too: {silent}");
    assert!(of("koleo-on/seed-0").ends_with('▁'), "there is room for a small curve");
    assert!(
        lines.iter().any(|line| line == "n_local=0/seed-0 failed: train: exit code 1: the loss is not a number"),
        "{lines:#?}"
    );
    assert!(lines[23].starts_with("q quits, the sweep continues"), "{}", lines[23]);
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
}

#[test]
fn a_wide_screen_shows_whole_names_and_curves() {
    let mut watch = Watch::new(picture(mixed()), Palette::Plain);
    let lines = screen(&mut watch, 200, 60);
    let long = lines.iter().find(|line| line.starts_with("views-8-local-crops-with-a-long-name/seed-1"));
    assert!(long.is_some(), "{lines:#?}");
    let curve = lines.iter().find(|line| line.starts_with("koleo-on/seed-0")).unwrap();
    assert!(curve.contains('█') && curve.contains('▁'), "{curve}");
}

#[test]
fn a_thousand_trials_are_scrolled_and_filtered() {
    let mut trials: Vec<Shown> = (0..1_000).map(|n| trial(&format!("arm-{n:04}/seed-0"), Standing::Open)).collect();
    trials[998] = Shown { words: "no shards".into(), ..trial("arm-0998/seed-0", Standing::Failed) };
    trials[999].standing = None;
    let mut watch = Watch::new(picture(trials), Palette::Plain);
    for (width, height) in [(80, 24), (200, 60)] {
        let lines = screen(&mut watch, width, height);
        assert!(lines[0].contains("read 999 of 1000"), "{}", lines[0]);
        assert!(lines[3].starts_with("arm-0998/seed-0"), "what failed comes before what is open: {}", lines[3]);
        let last = lines.last().unwrap();
        assert!(last.ends_with(&format!("1–{} of 1000", height - 6)), "{last}");
    }
    screen(&mut watch, 80, 24);
    let press = |watch: &mut Watch, code| watch.on_key(KeyEvent::new(code, KeyModifiers::NONE));
    assert!(!press(&mut watch, KeyCode::End));
    let lines = screen(&mut watch, 80, 24);
    assert!(lines[20].starts_with("arm-0999/seed-0"), "{lines:#?}");
    assert!(
        !press(&mut watch, KeyCode::Down)
            && !press(&mut watch, KeyCode::PageDown)
            && !press(&mut watch, KeyCode::PageDown)
    );
    assert!(screen(&mut watch, 80, 24).iter().any(|line| line.starts_with("arm-")), "one cannot scroll past the end");
    assert!(!press(&mut watch, KeyCode::Char('f')) && !press(&mut watch, KeyCode::Char('f')));
    let lines = screen(&mut watch, 80, 24);
    assert_eq!(lines.iter().filter(|line| line.starts_with("arm-")).count(), 2, "the trial and its reason: {lines:#?}");
    assert!(press(&mut watch, KeyCode::Char('q')));
}

#[test]
fn a_store_that_is_away_is_said_and_what_was_read_stays() {
    let mut watch = Watch::new(picture(mixed()), Palette::Plain);
    watch.on_trouble("no route to host".into());
    let lines = screen(&mut watch, 80, 24);
    assert_eq!(lines[23], "the store cannot be read: no route to host");
    assert!(lines.iter().any(|line| line.starts_with("koleo-on/seed-0")));
    watch.on_picture(picture(Vec::new()));
    assert!(screen(&mut watch, 80, 24)[23].ends_with("0–0 of 0"));
    // A screen that has room for nothing is no reason to end.
    screen(&mut watch, 3, 2);
}

#[test]
fn without_colours_there_are_none() {
    let mut watch = Watch::new(picture(mixed()), Palette::Plain);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, &mut watch)).unwrap();
    let cells = &terminal.backend().buffer().content;
    assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
}
