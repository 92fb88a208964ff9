//! The graph of similarities between rows (umap-learn's `fuzzy_simplicial_set`).

use rayon::prelude::*;

use super::reach::Reach;
use crate::neighbours::Neighbours;

/// Similarities of rows: sparse, symmetric.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    /// The edges of each row, by rising index of the other row.
    pub(super) edges: Vec<Vec<Edge>>,
}

/// An edge from a row to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) to: u32,
    /// From 0 to 1.
    pub(super) similarity: f64,
}

impl Graph {
    /// Joins what each row sees of its neighbours (without itself). Of the similarities s and t that two rows see in one
    /// another it keeps s + t − s·t, the chance that at least one of two independent events happens.
    pub(super) fn of(neighbours: &Neighbours) -> Self {
        let rows = neighbours.queries();
        let distances = (0..rows).flat_map(|i| neighbours.of(i)).map(|n| n.distance);
        let mean = distances.sum::<f64>() / (rows * (neighbours.k() + 1)) as f64;
        let seen = |i| {
            let reach = Reach::of_fitted(neighbours.of(i), mean);
            let edge = |n: &crate::neighbours::Neighbour| Edge { to: n.row, similarity: reach.similarity(n.distance) };
            neighbours.of(i).iter().map(edge).collect()
        };
        let mut edges: Vec<Vec<Edge>> = (0..rows).into_par_iter().map(seen).collect();
        let own: Vec<usize> = edges.iter().map(Vec::len).collect();
        for (i, &own) in own.iter().enumerate() {
            for e in 0..own {
                let Edge { to, similarity } = edges[i][e];
                edges[to as usize].push(Edge { to: i as u32, similarity });
            }
        }
        Self { edges: edges.into_par_iter().map(joined).collect() }
    }

    /// Without the edges that would attract less than once in `epochs` passes.
    pub(super) fn lasting(mut self, epochs: usize) -> Self {
        let limit = self.largest() / epochs as f64;
        self.edges.iter_mut().for_each(|edges| edges.retain(|edge| edge.similarity >= limit));
        self
    }

    /// The largest similarity; 0 without edges.
    pub(super) fn largest(&self) -> f64 {
        self.edges.iter().flatten().map(|edge| edge.similarity).fold(0.0, f64::max)
    }
}

/// One row's edges by index, those that both rows see joined.
fn joined(mut edges: Vec<Edge>) -> Vec<Edge> {
    edges.sort_by_key(|edge| edge.to);
    let mut kept: Vec<Edge> = Vec::with_capacity(edges.len());
    for edge in edges {
        match kept.last_mut() {
            Some(last) if last.to == edge.to => {
                let (s, t) = (last.similarity, edge.similarity);
                last.similarity = s + t - s * t;
            }
            _ => kept.push(edge),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Points;
    use crate::neighbours::nearest_others;

    #[test]
    fn similarities_are_the_same_from_both_ends() {
        let data: Vec<f32> = (0..60).map(|i| ((i * i) % 97) as f32).collect();
        let graph = Graph::of(&nearest_others(Points::new(2, &data).unwrap(), 4).unwrap());
        for (i, edges) in graph.edges.iter().enumerate() {
            assert!(edges.windows(2).all(|pair| pair[0].to < pair[1].to), "sorted, none twice");
            for edge in edges {
                let back = graph.edges[edge.to as usize].iter().find(|back| back.to == i as u32).unwrap();
                assert_eq!(back.similarity, edge.similarity);
                assert!(edge.similarity > 0.0 && edge.similarity <= 1.0);
            }
        }
    }

    #[test]
    fn edges_that_never_attract_are_dropped() {
        let edge = |to, similarity| Edge { to, similarity };
        let graph = Graph { edges: vec![vec![edge(1, 1.0), edge(2, 0.009)], vec![edge(0, 1.0)], vec![edge(0, 0.009)]] };
        assert_eq!(graph.clone().lasting(200).edges, graph.edges);
        assert_eq!(graph.lasting(100).edges, [vec![edge(1, 1.0)], vec![edge(0, 1.0)], vec![]]);
    }
}
