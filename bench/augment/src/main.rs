//! One round of timings: each transform, whole views, allocations per view, and what a second thread adds.
//!
//! `augment-bench FILE SIDE` reads RGB patches of SIDE x SIDE pixels, one after the other, and prints one JSON object.
//! Times are those of the thread's own processor time, so that a busy machine does not change them. `peer.py` runs this
//! and Albumentations in turn.
#![allow(clippy::print_stdout, reason = "the program is its output")]

mod probes;

use std::error::Error;
use std::time::Instant;

use augment::{Op, PixelBuffer, Recipe, ViewKey, names, view_into};
use probes::{allocations, thread_seconds};
use run_spec::config::TrainConfig;
use run_spec::seed::stream;
use serde_json::{Map, json};

/// Applications of one transform in a round.
const APPLICATIONS: u64 = 30;
/// Views of one thread in a round.
const VIEWS: u64 = 300;
/// Views the first thread makes before allocations are counted: every transform has come up at every size of crop.
const WARM_UP: u64 = 1500;
/// Views a thread makes before its time counts.
const SHORT_WARM_UP: u64 = 100;

#[allow(clippy::too_many_lines, reason = "a benchmark from beginning to end")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(side)) = (arguments.next(), arguments.next()) else {
        return Err("usage: augment-bench FILE SIDE".into());
    };
    let side: usize = side.parse()?;
    let bytes = std::fs::read(file)?;
    let patches = bytes
        .chunks_exact(side * side * 3)
        .map(|patch| PixelBuffer::new(side, side, patch.to_vec()))
        .collect::<Result<Vec<_>, _>>()?;
    if patches.is_empty() {
        return Err("the file holds no patch of that side".into());
    }
    let patch = |i: u64| &patches[i as usize % patches.len()];

    let mut transforms = Map::new();
    for name in names() {
        let op = Op::named(name)?;
        let apply = |i: u64| {
            let image = patch(i);
            let params = op.draw(image, &mut stream(i, "bench", &[]));
            drop(op.apply(&params, image.clone()));
        };
        (0..5).for_each(apply);
        let start = thread_seconds();
        (0..APPLICATIONS).for_each(apply);
        transforms.insert(name.to_owned(), json!((thread_seconds() - start) * 1e3 / APPLICATIONS as f64));
    }

    let recipe = Recipe::new(&TrainConfig::default())?;
    let side = recipe.sides().0;
    let views = |from: u64, count: u64, warm_up: u64| {
        let mut out = vec![0f32; 3 * side * side];
        (from..from + warm_up).for_each(|draw| view_into(patch(draw), &recipe, ViewKey { seed: 1, draw }, 0, &mut out));
        let (before, start) = (allocations(), thread_seconds());
        for draw in from..from + count {
            view_into(patch(draw), &recipe, ViewKey { seed: 0, draw }, 0, &mut out);
        }
        (thread_seconds() - start, allocations() - before)
    };
    let (alone, allocated) = views(0, VIEWS, WARM_UP);
    let wall = |threads: u64| {
        let start = Instant::now();
        let seconds: f64 = std::thread::scope(|scope| {
            let running: Vec<_> =
                (0..threads).map(|t| scope.spawn(move || views(t * 10_000, VIEWS, SHORT_WARM_UP).0)).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).sum()
        });
        (start.elapsed().as_secs_f64(), seconds)
    };
    let ((wall_1, _), (wall_2, cpu_2)) = (wall(1), wall(2));
    let report = json!({
        "transforms_ms": transforms,
        "view_ms": alone * 1e3 / VIEWS as f64,
        "allocations_per_view": allocated as f64 / VIEWS as f64,
        "scaling_cpu": 2.0 * alone / (cpu_2 / 2.0),
        "scaling_wall": 2.0 * wall_1 / wall_2,
    });
    println!("{report}");
    Ok(())
}
