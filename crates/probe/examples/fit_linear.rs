//! Fits a linear probe to features in a file, for `make bench-probe`: `fit_linear WHAT C DIM CLASSES TRAIN FEATURES LABELS
//! OUT`.
//!
//! * `WHAT`: `newton` (raw features, this C), `standardised` (standardised features, this C) or `chosen` (C by group folds).
//! * `FEATURES`, `LABELS`: rows of `f32` and one `u32` per row, little-endian; the first `TRAIN` rows are fitted to.
//! * `OUT`: the predicted classes of the other rows as `u32`, then their probabilities `[rows, CLASSES]` as `f32`.
//!
//! Prints seconds of the fit alone, the bound of the distance to the optimum, and C as JSON.

#![allow(clippy::print_stdout, reason = "its output is its result")]

use std::time::Instant;

use probe::standardised::{self, Strength};
use probe::{Features, newton};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, c, dim, classes, train, features, labels, out] = args.as_slice() else {
        return Err("give WHAT C DIM CLASSES TRAIN FEATURES LABELS OUT".into());
    };
    let (c, dim, classes, train): (f64, usize, usize, usize) =
        (c.parse()?, dim.parse()?, classes.parse()?, train.parse()?);
    let values: Vec<f32> = std::fs::read(features)?.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let labels: Vec<u32> = std::fs::read(labels)?.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    let (train_values, test_values) = values.split_at(train * dim);
    let (train, test) = (Features::new(dim, train_values.to_vec())?, Features::new(dim, test_values.to_vec())?);
    let labels = &labels[..train.rows()];
    // Twenty rows of an image.
    let groups: Vec<usize> = (0..train.rows()).map(|row| row / 20).collect();

    let start = Instant::now();
    let (model, certificate, c) = match what.as_str() {
        "newton" => {
            let newton::Solution { model, certificate } = newton::fit(&train, labels, &newton::Options::converged(c))?;
            (model, certificate, c)
        }
        "standardised" | "chosen" => {
            let strength = if what == "chosen" { Strength::Chosen } else { Strength::Fixed(c) };
            let fit = standardised::fit(&train, labels, &groups, strength)?;
            (fit.model, fit.certificate, fit.c)
        }
        other => return Err(format!("{other:?} is none of newton, standardised, chosen").into()),
    };
    let seconds = start.elapsed().as_secs_f64();

    let (predicted, probabilities) = model.predict_with_probabilities(&test, classes)?;
    let bytes = predicted.iter().flat_map(|class| class.to_le_bytes());
    let bytes = bytes.chain(probabilities.iter().flat_map(|p| p.to_le_bytes()));
    std::fs::write(out, bytes.collect::<Vec<u8>>())?;
    let (gap, steps) = (certificate.gap, certificate.steps);
    println!("{{\"seconds\": {seconds}, \"gap\": {gap:e}, \"steps\": {steps}, \"c\": {c:e}}}");
    Ok(())
}
