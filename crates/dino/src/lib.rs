//! The method: model, losses, optimiser, EMA, step.
