//! Result rows, statistics, tables, figures.
