//! The one place where this program writes to its standard streams. A reader that went away (`| head`) is no error.

use std::io::{IsTerminal, Write};

/// Writes `text` and a newline to standard output.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes `text` and a newline to standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether a person watches standard error.
pub(crate) fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Columns padded to their widest cell, two spaces between, nothing trailing.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let render = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(render).collect::<Vec<_>>().join("\n")
}

/// Seconds as `42s`, `7m03s`, `2h05m`.
pub(crate) fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
    }
}

/// Bytes as `512 B`, `1.5 MB`, `5.1 GB`, in powers of 1000.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["arm".into(), "seed".into()], vec!["reference".into(), "0".into()]];
        assert_eq!(columns(&rows), "arm        seed\nreference  0");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(
            [512, 1_500_000, 5_476_083_302, 3_000_000_000_000].map(bytes),
            ["512 B", "1.5 MB", "5.5 GB", "3.0 TB"]
        );
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([42.4, 423.0, 7500.0].map(duration), ["42s", "7m03s", "2h05m"]);
    }
}
