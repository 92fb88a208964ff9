//! System tests: real processes, architecture, golden files.
