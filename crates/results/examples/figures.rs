//! Draws both kinds of figure and writes tables of made-up numbers: `cargo run -p results --example figures -- FOLDER`.

mod made_up;

use made_up::{DATASET, SPLIT, Sweep};
use results::figure::{ArmsFigure, Curve, CurvesFigure, Level, Panel, arms, curves};
use results::render;
use run_spec::seed::stream;

/// Six arms, of which some have long names.
const ARMS: [(&str, f64); 7] = [
    ("reference", 0.0),
    ("centering=none", -0.3),
    ("koleo-on", 0.06),
    ("loss.n_local=8,optim.lr=0.0005,model.depth=4", 0.03),
    ("no-ibot", -0.02),
    ("same-with-another-name", 0.0),
    ("stain-augmentation-of-the-second-kind,strength=0.25", 0.015),
];

/// Writes the table and the picture of one made-up sweep.
fn write(folder: &std::path::Path, name: &str, sweep: &Sweep<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let table = sweep.table(true)?;
    let probes = ["linear_standardised", "linear", "1nn", "20nn"];
    let figure = ArmsFigure { table: &table, dataset: DATASET, split: SPLIT, metric: "weighted_f1", probes: &probes };
    std::fs::write(folder.join(format!("{name}.svg")), arms(&figure)?)?;
    std::fs::write(folder.join(format!("{name}.md")), render::markdown(&table))?;
    std::fs::write(folder.join(format!("{name}.txt")), render::terminal(&table))?;
    std::fs::write(folder.join(format!("{name}.csv")), render::csv(&table)?)?;
    Ok(())
}

#[allow(clippy::too_many_lines, reason = "an example from beginning to end")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).ok_or("name a folder to write to")?);
    let mut noise = stream(0, "example", &[]);
    let small = Sweep { title: "Sweep quickstart", arms: &ARMS[..3], seeds: 3, sources: 1, groups: 12, evidence: true };
    write(&folder, "arms-small", &small)?;
    let large = Sweep { title: "Sweep ablations", arms: &ARMS, seeds: 5, sources: 4, groups: 12, evidence: true };
    write(&folder, "arms-large", &large)?;
    let smoke = Sweep { title: "Sweep smoke", seeds: 2, evidence: false, ..small };
    write(&folder, "arms-smoke", &smoke)?;

    let steps = || (0..4000).map(f64::from);
    let mut falling = |from: f64, by: f64| {
        steps().map(|s| (s, from - by * (1.0 - (-s / 900.0).exp()) + 0.08 * noise.normal())).collect()
    };
    let loss = vec![
        Curve { name: "DINO".into(), points: falling(8.3, 3.0) },
        Curve { name: "iBOT".into(), points: falling(8.3, 1.9) },
    ];
    let scores =
        |start: f64, gain: f64| (0..9).map(|i| (500.0 * f64::from(i), start + gain * f64::from(i).sqrt())).collect();
    let levels = vec![
        Level { name: "random weights".into(), value: 39.0 },
        Level { name: "colour histogram".into(), value: 46.0 },
    ];
    let score = vec![
        Curve { name: "1-NN".into(), points: scores(39.0, 3.1) },
        Curve { name: "20-NN".into(), points: scores(42.6, 3.4) },
    ];
    let panel = |title: &str, y: &str, curves, levels| Panel {
        title: title.into(),
        x_label: "step".into(),
        y_label: y.into(),
        curves,
        levels,
    };
    let panels =
        vec![panel("Loss", "cross-entropy", loss, vec![]), panel("Held-out cells", "weighted F1, %", score, levels)];
    let figure =
        CurvesFigure { title: "One run".into(), subtitle: "Made-up numbers, to show the drawing".into(), panels };
    std::fs::write(folder.join("curves.svg"), curves(&figure)?)?;
    Ok(())
}
