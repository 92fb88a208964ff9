//! The images whose features are nearest to those of chosen images.

use anyhow::Result;
use feature_map::{MapError, Points, neighbours::nearest};

use super::model::{Model, Viewer};

/// An image near a chosen one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    /// Its number among all images.
    pub(super) image: usize,
    /// Euclidean distance of the features.
    pub(super) distance: f64,
}

/// What a model finds near the chosen images: one list for each of them, nearest first.
pub(super) type Found = Vec<Vec<Near>>;

/// The `k` nearest other images of each of `chosen`, for each model.
pub(super) fn of_all(viewer: &Viewer<'_>, models: &[Model], chosen: &[usize], k: usize) -> Result<Vec<Found>> {
    let found = |model: &Model| -> Result<Found> {
        let (features, dim) = (viewer.features(model)?, model.encoder().dim() as usize);
        let near = |&image: &usize| near(&features, dim, image, k.min(viewer.len() - 1));
        Ok(viewer.on_threads(|| chosen.iter().map(near).collect::<Result<_, _>>())?)
    };
    models.iter().map(found).collect()
}

/// The `k` rows of `features` `[n, dim]` nearest to row `image`, without itself; a copy of it is another image.
fn near(features: &[f32], dim: usize, image: usize, k: usize) -> Result<Vec<Near>, MapError> {
    let points = Points::new(dim, features)?;
    let found = nearest(points, Points::new(dim, points.row(image))?, k + 1)?;
    let others = found.of(0).iter().filter(|near| near.row as usize != image);
    Ok(others.map(|near| Near { image: near.row as usize, distance: near.distance }).take(k).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_not_its_own_neighbour_but_its_copy_is() {
        // Places on a line; 4 is a copy of 2.
        let features = [0.0, 3.0, 7.0, 8.5, 7.0];
        let images = |image, k| near(&features, 1, image, k).unwrap().iter().map(|near| near.image).collect::<Vec<_>>();
        assert_eq!(images(2, 3), [4, 3, 1]);
        assert_eq!(images(4, 2), [2, 3]);
        assert_eq!(images(0, 4), [1, 2, 4, 3]);
        assert_eq!(near(&features, 1, 2, 2).unwrap()[1], Near { image: 3, distance: 1.5 });
    }
}
