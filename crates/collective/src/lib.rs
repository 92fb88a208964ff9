//! Tensors between ranks.
