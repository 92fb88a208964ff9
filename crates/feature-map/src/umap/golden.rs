//! The curve and the graph beside umap-learn's, whose values `tests/golden/make_map.py` wrote down.

use serde::Deserialize;

use super::curve::Curve;
use super::graph::Graph;
use crate::Points;
use crate::neighbours::nearest_others;

#[derive(Deserialize)]
struct Golden {
    digits: String,
    /// `min_dist`, `spread`, a, b.
    curves: Vec<[f64; 4]>,
    graph: GraphCase,
}

#[derive(Deserialize)]
struct GraphCase {
    rows: usize,
    neighbours: usize,
    /// Of the rows i < j, sorted.
    similarities: Vec<(u32, u32, f64)>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/map.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn curves_are_umap_learns() {
    for [min_dist, spread, a, b] in golden().curves {
        let found = Curve::fit(min_dist, spread);
        let off = (found.a / a - 1.0).abs().max((found.b / b - 1.0).abs());
        assert!(off < 1e-5, "{min_dist}, {spread}: {found:?}, {a}, {b}");
    }
}

#[test]
fn similarities_are_umap_learns() {
    let Golden { digits, graph: case, .. } = golden();
    let data: Vec<f32> = digits[..case.rows * 64].chars().map(|c| c.to_digit(17).unwrap() as f32).collect();
    let graph = Graph::of(&nearest_others(Points::new(64, &data).unwrap(), case.neighbours - 1).unwrap());
    let upper = graph.edges.iter().enumerate().flat_map(|(i, edges)| {
        edges.iter().filter(move |edge| edge.to as usize > i).map(move |edge| (i as u32, edge.to, edge.similarity))
    });
    let found: Vec<(u32, u32, f64)> = upper.collect();
    assert_eq!(found.len(), case.similarities.len());
    for (found, expected) in found.iter().zip(&case.similarities) {
        assert_eq!((found.0, found.1), (expected.0, expected.1));
        assert!((found.2 - expected.2).abs() < 1e-4, "{found:?}, {expected:?}");
    }
}
