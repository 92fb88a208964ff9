//! Which cell each pixel of an image belongs to.

use std::collections::HashMap;

/// Numbers of cells, row by row; 0 is none. Numbers may have gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) numbers: Vec<u32>,
}

impl Labels {
    /// Takes away cells of more than `most` pixels.
    pub(crate) fn drop_larger_than(&mut self, most: usize) {
        self.drop_where(|size| size > most);
    }

    /// Takes away cells of fewer than `least` pixels.
    pub(crate) fn drop_smaller_than(&mut self, least: usize) {
        self.drop_where(|size| size < least);
    }

    fn drop_where(&mut self, goes: impl Fn(usize) -> bool) {
        let mut sizes: HashMap<u32, usize> = HashMap::new();
        for &number in self.numbers.iter().filter(|number| **number > 0) {
            *sizes.entry(number).or_default() += 1;
        }
        for number in &mut self.numbers {
            if sizes.get(number).is_some_and(|&size| goes(size)) {
                *number = 0;
            }
        }
    }

    /// Numbers from 1 on without gaps, in the order in which cells appear from the top left.
    pub(crate) fn renumber(&mut self) {
        let mut names: HashMap<u32, u32> = HashMap::new();
        for number in self.numbers.iter_mut().filter(|number| **number > 0) {
            let next = names.len() as u32 + 1;
            *number = *names.entry(*number).or_insert(next);
        }
    }

    /// Gives the holes of each cell its number: what cannot be left without crossing it. A cell inside a hole is swallowed, as by
    /// Cellpose.
    pub(crate) fn fill_holes(&mut self) {
        let mut boxes: HashMap<u32, [usize; 4]> = HashMap::new();
        for (at, &number) in self.numbers.iter().enumerate().filter(|(_, number)| **number > 0) {
            let (y, x) = (at / self.width, at % self.width);
            let edges = boxes.entry(number).or_insert([y, x, y, x]);
            *edges = [edges[0].min(y), edges[1].min(x), edges[2].max(y), edges[3].max(x)];
        }
        let mut boxes: Vec<_> = boxes.into_iter().collect();
        boxes.sort_unstable();
        for (number, [top, left, bottom, right]) in boxes {
            // A frame of one pixel around the box is outside.
            let (rows, columns) = (bottom - top + 3, right - left + 3);
            let place = |at: usize| {
                let (y, x) = (at / columns, at % columns);
                let inside = (1..rows - 1).contains(&y) && (1..columns - 1).contains(&x);
                inside.then(|| (top + y - 1) * self.width + left + x - 1)
            };
            let wall = |at: usize| place(at).is_some_and(|at| self.numbers[at] == number);
            let mut outside = vec![false; rows * columns];
            let mut open = vec![0];
            outside[0] = true;
            while let Some(at) = open.pop() {
                let (y, x) = (at / columns, at % columns);
                let near = [
                    (y > 0, at.wrapping_sub(columns)),
                    (y + 1 < rows, at + columns),
                    (x > 0, at.wrapping_sub(1)),
                    (x + 1 < columns, at + 1),
                ];
                for next in near.into_iter().filter(|(there, _)| *there).map(|(_, next)| next) {
                    if !outside[next] && !wall(next) {
                        outside[next] = true;
                        open.push(next);
                    }
                }
            }
            let filled: Vec<usize> = (0..rows * columns).filter(|&at| !outside[at]).filter_map(place).collect();
            filled.into_iter().for_each(|at| self.numbers[at] = number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(rows: &[&str]) -> Labels {
        let numbers = rows.iter().flat_map(|row| row.bytes()).map(|b| u32::from(b - b'0')).collect();
        Labels { height: rows.len(), width: rows[0].len(), numbers }
    }

    #[test]
    fn holes_are_filled_and_bays_are_not() {
        let mut ring = labels(&["77770", "70070", "77770", "70000", "77077"]);
        ring.fill_holes();
        assert_eq!(ring, labels(&["77770", "77770", "77770", "70000", "77077"]));
    }

    #[test]
    fn numbers_lose_their_gaps_and_large_cells_go() {
        let mut cells = labels(&["099", "300", "355"]);
        cells.renumber();
        assert_eq!(cells, labels(&["011", "200", "233"]));
        cells.drop_larger_than(1);
        assert_eq!(cells, labels(&["000", "000", "000"]));
    }
}
