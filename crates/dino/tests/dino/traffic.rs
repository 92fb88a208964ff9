//! What the last layer moves through memory, counted by its operators, against what the mathematics needs.

use crate::support::runs::{batch, new, tiny};
use collective::Solo;
use dino::{MaskPlan, RankShare, masks, projection, wide::Moved};
use run_spec::{
    config::{Precision, TrainConfig},
    schedule::Schedules,
};
use tch::{Device, Kind};

/// Sizes of one step on one rank with a shared head and without local crops. Rows of logits: those of CLS tokens, and those of masked
/// patches.
#[derive(Clone, Copy)]
struct Sizes {
    rows: [u64; 2],
    prototypes: u64,
    bottleneck: u64,
    block_bytes: u64,
}

impl Sizes {
    fn of(config: &TrainConfig, block_bytes: i64) -> Self {
        let share = RankShare::of(config.train.batch_size, config.train.loss_groups, 0, 1).unwrap();
        let plan = MaskPlan { config: &config.masks, seed: config.seed, step: 0, share, grid: config.grid() };
        let masked = masks::batch(&plan).sum(Kind::Int64).int64_value(&[]);
        Self {
            rows: [2 * config.train.batch_size, masked as u64],
            prototypes: config.head.prototypes as u64,
            bottleneck: config.head.bottleneck as u64,
            block_bytes: block_bytes as u64,
        }
    }

    /// Elements of logits, of weights, and of rows before the last layer.
    fn elements(&self) -> [u64; 3] {
        let rows: u64 = self.rows.iter().sum();
        [rows * self.prototypes, self.prototypes * self.bottleneck, rows * self.bottleneck]
    }

    fn blocks(&self) -> u64 {
        let most = (self.block_bytes / (4 * self.prototypes)).max(1);
        self.rows.iter().map(|rows| rows.div_ceil(most)).sum()
    }

    /// Least bytes in f32 with matrix products as operators of their own, which read and write what is larger than a cache once each: the teacher's
    /// logits are written, and read for each of the `iterations`, as the scale of a column depends on all rows; the
    /// student's are written, read with the targets to become their gradient, written, and read by two products. The weights
    /// are read by three products, and their gradient is written by one.
    fn least(&self, iterations: u64) -> u64 {
        let [logits, weights, narrow] = self.elements();
        4 * ((1 + iterations + 6) * logits + 4 * weights + 4 * narrow)
    }

    /// What sweeps on a CPU move in f32.
    fn swept(&self, iterations: u64) -> u64 {
        let [logits, weights, narrow] = self.elements();
        let blocks = self.blocks();
        // Sums over parts of rows are written and read once for each iteration.
        let parts: u64 = self.rows.iter().map(|&n| n.div_ceil(n.div_ceil(64).max(32))).sum();
        let teacher = logits + weights + narrow + (2 + (iterations - 1) + 2) * logits;
        let vectors = (2 * iterations * parts + 2 * (2 * (iterations - 1) + 1)) * self.prototypes;
        // Three products and a sweep; the first block writes the gradient, the others read it too; it is scaled once.
        let student = 6 * logits + (4 * blocks - 1 + 2) * weights + 3 * narrow;
        4 * (teacher + vectors + student)
    }

    /// What operators move in f64, as on a GPU in f32 but for the size of an element.
    fn by_operators(&self, iterations: u64) -> u64 {
        let [logits, weights, narrow] = self.elements();
        let (rows, sets) = (self.rows.iter().sum::<u64>(), self.rows.len() as u64);
        let teacher = logits + weights + narrow + (1 + 2 + 2 * iterations + 4) * logits;
        let vectors =
            2 * sets * self.prototypes * iterations + sets * self.prototypes + (2 + 2 * iterations + 1) * rows;
        let student = 10 * logits + (4 * self.blocks() - 1 + 2) * weights + 3 * narrow + rows;
        8 * (teacher + vectors + student)
    }
}

/// A tiny model without local crops.
fn config(prototypes: i64, precision: Precision) -> TrainConfig {
    let mut c = tiny();
    (c.head.prototypes, c.head.bottleneck, c.train.precision) = (prototypes, 8, precision);
    (c.loss.n_local, c.loss.koleo_weight, c.masks.ratio_max) = (0, 0.0, 0.9);
    c
}

fn counted(c: &TrainConfig) -> u64 {
    let mut state = new(c);
    let before = Moved::so_far();
    state.step(&batch(c, 0, 0, 1), &Schedules::new(c).at(2), &Solo::new()).unwrap();
    Moved::so_far().since(before).bytes()
}

#[test]
fn a_step_moves_what_its_formula_says() {
    for (prototypes, iterations) in [(24, 3), (1000, 3), (1000, 1)] {
        for precision in [Precision::F32, Precision::F64] {
            let mut c = config(prototypes, precision);
            c.loss.sk_iterations = iterations;
            let sizes = Sizes::of(&c, projection::block_bytes(Device::Cpu));
            let iterations = iterations as u64;
            let expected = match precision {
                Precision::F32 => sizes.swept(iterations),
                _ => sizes.by_operators(iterations),
            };
            assert_eq!(counted(&c), expected, "K = {prototypes}, {iterations} iterations, {precision}");
        }
    }
}

#[test]
fn the_published_step_moves_at_most_twice_what_it_must() {
    let mut c = TrainConfig::default();
    (c.train.batch_size, c.train.loss_groups) = (256, 1);
    c.head.prototypes = 131_072;
    assert_eq!((c.head.bottleneck, c.loss.sk_iterations), (256, 3));
    let ratio = |device, moved: fn(&Sizes) -> u64| {
        let sizes = Sizes::of(&c, projection::block_bytes(device));
        moved(&sizes) as f64 / sizes.least(3) as f64
    };
    let on_cpu = ratio(Device::Cpu, |sizes| sizes.swept(3));
    assert!(on_cpu <= 2.0, "{on_cpu:.2}");
    // Operators of LibTorch that are there make more passes; the size of an element does not change the ratio.
    let on_gpu = ratio(Device::Cuda(0), |sizes| sizes.by_operators(3) / 2);
    assert!(on_gpu <= 2.5, "{on_gpu:.2}");
}
