//! Settings that the results of further evaluations depend on. They stand in the digest of what is measured, so whoever changes one here
//! measures anew; `crates/probe` computes with them.

use serde_json::{Value, json};

/// Neighbours that vote in the probe `knn_cosine`, as in DINOv2.
pub const COSINE_NEIGHBOURS: usize = 20;
/// Temperature T of their weights exp(cosine / T), as in DINOv2.
pub const COSINE_TEMPERATURE: f64 = 0.07;

/// Units of the hidden layer of the probe `mlp`.
pub const MLP_HIDDEN: usize = 64;
/// Its penalty on the squared weights (scikit-learn's `alpha`).
pub const MLP_PENALTY: f64 = 1.0;
/// Steps of L-BFGS after which its training may end.
pub const MLP_STEPS: [usize; 4] = [10, 20, 40, 80];

/// Bins of confidence of the expected calibration error.
pub const CALIBRATION_BINS: usize = 15;
/// Coverages at which the risk–coverage curve is kept.
pub const COVERAGES: [f64; 20] =
    [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0];

/// Shares of the training cells that label efficiency is measured at.
pub const LABEL_FRACTIONS: [f64; 6] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Numbers of labelled training cells of each class that scores are measured at.
pub const LABELS_PER_CLASS: [u64; 6] = [1, 5, 10, 25, 50, 100];
/// Draws of training groups at each share below all, and at each number.
pub const LABEL_REPEATS: u64 = 3;

/// Normal cells whose distance, averaged, is the anomaly score of a cell.
pub const ANOMALY_NEIGHBOURS: usize = 5;

/// Patch tokens of normal cells at most, with which the patches of a cell are compared.
pub const ANOMALY_BANK_PATCHES: usize = 4096;

/// Neighbours that the biology-versus-source index looks at.
pub const ROBUSTNESS_NEIGHBOURS: usize = 20;

pub(super) fn knn() -> Value {
    json!({ "neighbours": COSINE_NEIGHBOURS, "temperature": COSINE_TEMPERATURE })
}

pub(super) fn mlp() -> Value {
    json!({ "hidden": MLP_HIDDEN, "penalty": MLP_PENALTY, "steps": MLP_STEPS })
}

pub(super) fn calibration() -> Value {
    json!({ "bins": CALIBRATION_BINS, "coverages": COVERAGES })
}

pub(super) fn label_efficiency() -> Value {
    json!({ "fractions": LABEL_FRACTIONS, "repeats": LABEL_REPEATS })
}

pub(super) fn labels_per_class() -> Value {
    json!({ "labels": LABELS_PER_CLASS, "repeats": LABEL_REPEATS })
}

pub(super) fn anomaly() -> Value {
    json!({ "neighbours": ANOMALY_NEIGHBOURS, "bank_patches": ANOMALY_BANK_PATCHES })
}

pub(super) fn robustness() -> Value {
    json!({ "neighbours": ROBUSTNESS_NEIGHBOURS })
}
