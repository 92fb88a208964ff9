//! The optimisation: rows move towards the rows they are similar to and away from random ones.
//!
//! It is umap-learn's stochastic gradient descent in its order: edge after edge, each in its turn, and each step from where the
//! last one ended. That is one thread's work, a few seconds for 20,000 rows, and always the same. Rows that moved at the same
//! time, each from where the others were when the epoch began, could share threads and still give the same map on any number;
//! but they overshoot one another, which tears neighbourhoods: on scikit-learn's digits it cost 0.013 of continuity.

use run_spec::seed::Stream;

use super::forces::Forces;
use super::graph::{Edge, Graph};

/// A place on the map while it is made.
pub(super) type Position = [f64; 2];

/// The longest step along an axis at full rate.
const LONGEST_STEP: f64 = 4.0;

/// What stays the same while rows move.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) forces: Forces,
    pub(super) epochs: usize,
    /// Rows that a row is pushed away from each time it is attracted.
    pub(super) negatives: usize,
    /// Length of the steps in the first epoch; it falls to 0.
    pub(super) rate: f64,
}

impl Rules {
    fn rate(&self, epoch: usize) -> f64 {
        self.rate * (1.0 - epoch as f64 / self.epochs as f64)
    }

    /// How far a row moves towards another, given their difference.
    #[inline]
    fn attraction(&self, difference: Position, rate: f64) -> Position {
        let force = self.forces.attraction(squared(difference));
        difference.map(|d| rate * (force * d).clamp(-LONGEST_STEP, LONGEST_STEP))
    }

    /// How far a row moves away from another, given their difference.
    #[inline]
    fn repulsion(&self, difference: Position, rate: f64) -> Position {
        let force = self.forces.repulsion(squared(difference));
        difference.map(|d| rate * (force * d).clamp(-LONGEST_STEP, LONGEST_STEP))
    }
}

fn squared(difference: Position) -> f64 {
    difference[0] * difference[0] + difference[1] * difference[1]
}

fn minus(a: Position, b: Position) -> Position {
    [a[0] - b[0], a[1] - b[1]]
}

fn plus(a: Position, b: Position) -> Position {
    [a[0] + b[0], a[1] + b[1]]
}

/// Moves the rows of `graph` from `positions` to their places.
pub(super) fn arrange(positions: &mut [Position], graph: &Graph, rules: &Rules, random: &mut Stream) {
    let largest = graph.largest();
    let mut turns: Vec<Vec<Turn>> = graph.edges.iter().map(|edges| turns(edges, largest, rules.negatives)).collect();
    for epoch in 0..rules.epochs {
        let rate = rules.rate(epoch);
        for (i, turns) in turns.iter_mut().enumerate() {
            for turn in turns {
                let Some(pushes) = turn.due(epoch, rules.negatives) else { continue };
                let j = turn.to as usize;
                let step = rules.attraction(minus(positions[i], positions[j]), rate);
                positions[j] = minus(positions[j], step);
                positions[i] = plus(positions[i], step);
                for _ in 0..pushes {
                    // The row itself may be drawn: it stands at no distance and pushes nothing.
                    let other = random.below(positions.len() as u64) as usize;
                    let step = rules.repulsion(minus(positions[i], positions[other]), rate);
                    positions[i] = plus(positions[i], step);
                }
            }
        }
    }
}

/// Moves a row that starts at `position` and has these `edges` among `others`, which stay where they are.
pub(super) fn arrange_one(
    mut position: Position,
    edges: &[Edge],
    others: &[Position],
    rules: &Rules,
    random: &mut Stream,
) -> Position {
    let largest = edges.iter().map(|edge| edge.similarity).fold(0.0, f64::max);
    let mut turns = turns(edges, largest, rules.negatives);
    for epoch in 0..rules.epochs {
        let rate = rules.rate(epoch);
        for turn in &mut turns {
            let Some(pushes) = turn.due(epoch, rules.negatives) else { continue };
            position = plus(position, rules.attraction(minus(position, others[turn.to as usize]), rate));
            for _ in 0..pushes {
                let other = others[random.below(others.len() as u64) as usize];
                position = plus(position, rules.repulsion(minus(position, other), rate));
            }
        }
    }
    position
}

/// When an edge attracts next.
#[derive(Debug)]
struct Turn {
    to: u32,
    /// Epochs between two attractions.
    period: f64,
    attracts_at: f64,
    pushes_from: f64,
}

/// The turns of `edges`; one as similar as `largest` attracts in each epoch.
fn turns(edges: &[Edge], largest: f64, negatives: usize) -> Vec<Turn> {
    let turn = |edge: &Edge| {
        let period = largest / edge.similarity;
        Turn { to: edge.to, period, attracts_at: period, pushes_from: period / negatives as f64 }
    };
    edges.iter().map(turn).collect()
}

impl Turn {
    /// The number of rows that push if the edge attracts in this epoch.
    #[inline]
    fn due(&mut self, epoch: usize, negatives: usize) -> Option<usize> {
        let epoch = epoch as f64;
        if self.attracts_at > epoch {
            return None;
        }
        self.attracts_at += self.period;
        if negatives == 0 {
            return Some(0);
        }
        let between = self.period / negatives as f64;
        let pushes = ((epoch - self.pushes_from) / between) as usize;
        self.pushes_from += pushes as f64 * between;
        Some(pushes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_attracts_and_pushes_in_proportion_to_its_similarity() {
        for (similarity, negatives) in [(1.0, 5), (0.5, 5), (0.31, 3), (0.013, 5), (0.7, 0)] {
            let mut turn = turns(&[Edge { to: 1, similarity }], 1.0, negatives).remove(0);
            let due: Vec<usize> = (0..1000).filter_map(|epoch| turn.due(epoch, negatives)).collect();
            let (attractions, pushes) = (due.len() as f64, due.iter().sum::<usize>() as f64);
            assert!((attractions - 1000.0 * similarity).abs() <= 1.0, "{similarity}: {attractions}");
            assert!(
                (pushes - attractions * negatives as f64).abs() <= negatives as f64 + 1.0,
                "{similarity}: {pushes}"
            );
        }
    }
}
