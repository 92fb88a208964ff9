//! Frozen features to scores.
