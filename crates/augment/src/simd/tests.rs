//! Each loop written for wide registers against its scalar twin.

use super::correlate::{correlate_levels_twin, correlate_rows_twin, correlate_twin};
use super::sort::sort_lanes;
use super::*;
use crate::pool::Buf;

/// Bytes without a pattern; every level occurs.
fn bytes(n: usize) -> Vec<u8> {
    (0..n as u64).map(|i| ((i * i * 31 + i * 7 + (i >> 8) * 101) % 257) as u8).collect()
}

#[test]
fn wide_and_narrow_correlation_give_the_same_bits() {
    let window: Vec<f32> = (0..800).map(|i| ((i * 7919) % 256) as f32).collect();
    let taps: Vec<_> = (0..49).map(|i| (i * 3, (i as f32 - 20.0) / 61.0)).collect();
    let (mut wide, mut narrow) = (vec![0.0; 512], vec![0.0; 512]);
    correlate(&mut wide, &window, &taps);
    correlate_twin(&mut narrow, &window, &taps);
    assert_eq!(wide, narrow);
}

#[test]
fn several_rows_at_once_are_the_rows_one_by_one() {
    let (pitch, width, height) = (512, 9, 7);
    let window: Vec<f32> = (0..(height + ROWS - 1) * pitch).map(|i| ((i * 7919) % 256) as f32).collect();
    let kernel: Vec<f32> = (0..height * width).map(|i| (i as f32 - 20.0) / 61.0).collect();
    let rows: Vec<(usize, [f32; ROWS])> = (0..(height + ROWS - 1) * width)
        .map(|i| {
            let weight = |r: usize| i.checked_sub(r * width).and_then(|i| kernel.get(i)).copied().unwrap_or(0.0);
            (i / width * pitch + i % width * 3, std::array::from_fn(weight))
        })
        .collect();
    let length = 2 * LANES;
    let (mut wide, mut narrow) = (vec![0.0; ROWS * length], vec![0.0; ROWS * length]);
    let rows = RowTaps::new(Buf::from(rows));
    correlate_rows(&mut wide, &window, &rows);
    correlate_rows_twin(&mut narrow, &window, rows.taps());
    assert_eq!(wide, narrow);
    let taps: Vec<_> = kernel.iter().enumerate().map(|(i, &k)| (i / width * pitch + i % width * 3, k)).collect();
    for (r, row) in wide.chunks_exact(length).enumerate() {
        let mut one = vec![0.0; length];
        correlate_twin(&mut one, &window[r * pitch..], &taps);
        assert_eq!(row, one, "row {r}");
    }
}

#[test]
fn grouped_taps_give_the_plain_sum_wide_and_narrow() {
    let window = bytes(900);
    let taps: Vec<_> = (0..15).map(|i| (i * 17, [0.31, -0.31, 1.25, -0.07, 0.31][i % 5])).collect();
    let groups = Groups::new(&taps).expect("three sizes make groups");
    let (mut wide, mut narrow) = (vec![0; 601], vec![0; 601]);
    correlate_levels(&mut wide, &window, &groups);
    correlate_levels_twin(&mut narrow, &window, groups.taps());
    assert_eq!(wide, narrow);
    let exact = |i: usize| taps.iter().map(|&(offset, w)| f64::from(w) * f64::from(window[offset + i])).sum::<f64>();
    assert!(wide.iter().enumerate().all(|(i, &v)| (exact(i).clamp(0.0, 255.0) - f64::from(v)).abs() < 0.5001));
    let of = |n: usize| Groups::new(&(0..n).map(|i| (i, 1.0 / n as f32)).collect::<Vec<_>>()).is_some();
    assert_eq!(
        [3, 4, 5, 6, 7, 8, 12].map(of),
        [true, true, true, false, true, true, false],
        "means with ties are left"
    );
    assert!(Groups::new(&[(0, f32::NAN)]).is_none());
}

#[test]
fn wide_and_narrow_columns_agree_up_to_the_edge() {
    let source = bytes(3 * 50);
    let columns: Vec<[i32; 4]> = (0..131)
        .map(|x| {
            let (first, w) = ((x * 49 / 130).min(49), x * 2048 / 131);
            [first * 3, (first + 1).min(49) * 3, 2048 - w, w]
        })
        .collect();
    let (mut wide, mut narrow) = (vec![0; 3 * 131], vec![0; 3 * 131]);
    let weights = columns[3];
    let columns = Columns::new(columns.into(), source.len());
    columns.blend(&source, &mut wide);
    columns.blend_narrow(&source, &mut narrow);
    assert_eq!(wide, narrow);
    assert_eq!(wide[9], i32::from(source[3]) * weights[2] + i32::from(source[6]) * weights[3]);
}

#[test]
#[should_panic(expected = "padded")]
fn a_tap_beyond_the_window_is_refused() {
    correlate(&mut [0.0; LANES], &[0.0; LANES], &[(1, 1.0)]);
}

#[test]
fn wide_and_narrow_sorting_agree() {
    let mut lanes: Vec<[u8; SORTED]> = (0..9).map(|i| std::array::from_fn(|j| (i * 37 + j * 11) as u8)).collect();
    let mut twin = lanes.clone();
    let network = [(0, 3), (3, 5), (1, 8), (2, 7), (0, 8)];
    sort_network(&mut lanes, &network);
    sort_lanes(&mut twin, &network);
    assert_eq!(lanes, twin);
}
