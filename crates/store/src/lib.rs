//! Create-only records on a directory or object storage.
