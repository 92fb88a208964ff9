//! Draws both kinds of figure from made-up numbers: `cargo run -p results --example figures -- FOLDER`.

use results::figure::{ArmsFigure, Curve, CurvesFigure, Level, Panel, arms, curves};
use results::table::{Table, TableOptions};
use results::{ResultRow, TEACHER};
use run_spec::ids::Digest;
use run_spec::seed::stream;

fn row(arm: &str, features: &str, seed: u64, fold: u64, probe: &str, value: f64) -> ResultRow {
    let name = |digest: &str| Digest::of(digest.as_bytes());
    ResultRow {
        run: format!("{arm}-{seed}"),
        trial: name(arm),
        seed: seed.into(),
        arm: arm.into(),
        features: features.into(),
        step: if features == TEACHER { 600.into() } else { 0.into() },
        config: name(arm),
        shards_train: name("train"),
        shards_eval: name("eval"),
        init_weights: None,
        code: "example".into(),
        code_probe: Some("example".into()),
        dataset: "made-up cells".into(),
        split: "grouped-5".into(),
        split_digest: Some(name("split")),
        fold: fold.to_string(),
        probe: probe.into(),
        metric: "weighted_f1".into(),
        class: None,
        value,
        n: 100,
        n_train: 400,
        device: "none".into(),
        hours: 0.0,
        kwh: None,
        transductive: Some(false),
        note: String::new(),
    }
}

#[allow(clippy::too_many_lines, reason = "an example from beginning to end")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).ok_or("name a folder to write to")?);
    let mut noise = stream(0, "example", &[]);
    let mut rows = Vec::new();
    for (arm, gain) in
        [("reference", 0.0), ("no KoLeo", -0.004), ("8 local crops", 0.03), ("moving-average centre", -0.02)]
    {
        for (seed, probe, level) in
            [0, 1, 2].into_iter().flat_map(|s| [(s, "linear", 0.51), (s, "1nn", 0.45), (s, "20nn", 0.49)])
        {
            for fold in 0..5 {
                let base = level + 0.01 * fold as f64;
                rows.push(row(arm, TEACHER, seed, fold, probe, base + gain + 0.006 * noise.normal()));
                rows.push(row(arm, "random weights", 0, fold, probe, base - 0.06));
                rows.push(row(arm, "colour histogram", 0, fold, probe, base - 0.02));
            }
        }
    }
    let options =
        TableOptions { title: "Ablations".into(), reference: Some("reference".into()), ..TableOptions::default() };
    let table = Table::build(&rows, &[], &options)?;
    let probes = ["linear", "1nn", "20nn"];
    let figure = ArmsFigure {
        table: &table,
        dataset: "made-up cells",
        split: "grouped-5",
        metric: "weighted_f1",
        probes: &probes,
    };
    std::fs::write(folder.join("arms.svg"), arms(&figure)?)?;
    std::fs::write(folder.join("table.md"), results::render::markdown(&table, &[]))?;

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
