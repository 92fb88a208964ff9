//! The Parquet patch format.
