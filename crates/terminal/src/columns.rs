//! Aligned columns, two spaces between them, nothing at the end of a line.

use comfy_table::{CellAlignment, Table, presets};

/// Rows as columns that are as wide as their widest cell; the columns at the places `right` stand to the right.
///
/// ```
/// let rows = [["arm", "trials"], ["reference", "3"]].map(|row| row.map(str::to_owned).to_vec());
/// assert_eq!(terminal::columns(&rows, &[1]), "arm        trials\nreference       3");
/// ```
pub fn columns(rows: &[Vec<String>], right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_rows(rows);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Rows under a header; columns whose name is in `numbers` stand to the right.
pub fn table(header: &[&str], numbers: &[&str], rows: &[Vec<String>]) -> String {
    let header_row = header.iter().map(|name| (*name).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header_row).chain(rows.iter().cloned()).collect();
    let right: Vec<usize> = (0..header.len()).filter(|place| numbers.contains(&header[*place])).collect();
    columns(&rows, &right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(rows: &[[&str; N]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(columns(&rows(&[["arm", "seed"], ["reference", "0"]]), &[]), "arm        seed\nreference  0");
        assert_eq!(columns(&[vec!["a".into()], vec!["b".into(), "µ c".into(), "d".into()]], &[]), "a\nb  µ c  d");
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let text = table(&["source", "rows"], &["rows"], &rows(&[["chula", "12,345"], ["all", "7"]]));
        assert_eq!(text, "source    rows\nchula   12,345\nall          7");
    }
}
