//! `worker embed`: the features of a shard set as a Parquet file, with their places on a map where one is wanted.

use anyhow::{Result, bail};
use feature_map::pca::Pca;
use feature_map::{MapError, Points, umap};
use shards::ShardSet;
use store::Store;

use crate::cli::{EmbedArgs, MapMethod, ModelChoice};
use crate::environment::Environment;
use crate::features::{self, Extractor};
use crate::released::{self, Frozen};

/// Writes one row for each image: where it comes from, its features, and its place on a map.
pub(crate) fn embed(args: &EmbedArgs, environment: &Environment) -> Result<()> {
    let (network, side) = network(&args.model, environment)?;
    let shards = ShardSet::open(&Store::open(&args.shards)?)?;
    let extractor = Extractor::new(&shards, args.batch, args.model.threads)?.of_token(args.token.into());
    let features = extractor.features(network.as_ref(), side, "embedding")?;
    let rows = (0..shards.len()).map(|row| shards.meta(row)).collect::<Result<Vec<_>, _>>()?;
    let (values, dim) = (features.data(), features.dim());
    let mapped = |method| extractor.on_threads(|| places(method, dim, values));
    let places = args.map.map(mapped).transpose()?;
    let table = export::FeatureTable { rows: &rows, values, dim, places: places.as_deref() };
    let bytes = export::features_as_parquet(&table)?;
    let (folder, name) = Store::open_file(&args.out)?;
    folder.create(&name, bytes.into())?;
    let map = if places.is_some() { ", with map coordinates x and y" } else { "" };
    terminal::line(format!("{}: {}, {dim} features each{map}", args.out, terminal::counted(shards.len(), "image")));
    Ok(())
}

/// The network of a run or of a file, and the side of its images in pixels.
fn network(args: &ModelChoice, environment: &Environment) -> Result<(Box<dyn Frozen>, i64)> {
    match (args.of_run(), &args.weights) {
        (Some(model), _) => {
            let trained = features::open(&model, environment)?;
            Ok((Box::new(trained.teacher), trained.config.crops.global_size))
        }
        (None, Some(weights)) => {
            let open = released::choose(args, weights, environment)?;
            Ok((open.released.model, open.side))
        }
        (None, None) => bail!("name a run with --run, or a file with --weights"),
    }
}

/// The place of each of the `[n, dim]` features on their map.
fn places(method: MapMethod, dim: usize, values: &[f32]) -> Result<Vec<umap::Place>, MapError> {
    let points = Points::new(dim, values)?;
    match method {
        MapMethod::Umap => Ok(umap::fit(points, &umap::Settings::default())?.places().to_vec()),
        MapMethod::Pca => {
            let along = Pca::fit(points, 2)?.transform(points)?;
            Ok(along.chunks_exact(2).map(|place| [place[0] as f32, place[1] as f32]).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_methods_place_every_row_and_repeat() {
        let values: Vec<f32> =
            (0..60 * 4).map(|i| ((i * 37 % 101) as f32).sin() + if i < 120 { 5.0 } else { 0.0 }).collect();
        for method in [MapMethod::Pca, MapMethod::Umap] {
            let found = places(method, 4, &values).unwrap();
            assert_eq!(found.len(), 60);
            assert!(found.iter().flatten().all(|v| v.is_finite()));
            assert_eq!(found, places(method, 4, &values).unwrap());
        }
        // The first axis of PCA tells the two groups apart.
        let found = places(MapMethod::Pca, 4, &values).unwrap();
        assert!(found[..30].iter().all(|place| place[0].signum() == found[0][0].signum()));
        assert!(found[30..].iter().all(|place| place[0].signum() != found[0][0].signum()));
        assert!(places(MapMethod::Pca, 4, &[]).is_err());
    }
}
