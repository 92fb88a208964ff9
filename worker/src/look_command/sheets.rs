//! The sheets: what stands in which column, and the sentences that say how to read it.

use anyhow::Result;
use imaging::RgbImage;
use imaging::picture_table::{PictureTable, Row, Tile};

use super::colours::{Basis, on_scale, squares, times};
use super::model::{Model, Seen};
use super::neighbours::{Found, Near};
use super::pictures::Pictures;

/// What is looked at, and by whom.
pub(super) struct Subject<'a> {
    pub(super) pictures: &'a Pictures,
    /// The images of the sheets of patches and attention.
    pub(super) shown: &'a [usize],
    pub(super) models: &'a [Model],
}

impl Subject<'_> {
    /// An image as large as the patches of `model` are drawn.
    fn picture(&self, image: usize, model: &Model) -> Result<RgbImage> {
        let side = model.grid() * times(model.grid());
        Ok(image::imageops::resize(&self.pictures.rgb(image)?, side, side, image::imageops::FilterType::Triangle))
    }

    /// The image that a row begins with.
    fn original(&self, image: usize, model: &Model) -> Result<Tile> {
        let caption = vec![self.pictures.class(image).unwrap_or_else(|| "image".to_owned())];
        Ok(Tile { picture: self.picture(image, model)?, caption })
    }
}

/// Patch tokens as colours, a column for each model.
pub(super) fn patches(subject: &Subject<'_>, seen: &[Vec<Seen>], basis: &Basis) -> Result<PictureTable> {
    let mut rows = Vec::new();
    for (place, &image) in subject.shown.iter().enumerate() {
        let mut tiles = Vec::new();
        for (model, seen) in subject.models.iter().zip(seen) {
            if tiles.is_empty() {
                tiles.push(subject.original(image, model)?);
            }
            let colours = basis.colours(seen[place].dim, &seen[place].patches)?;
            tiles.push(Tile { picture: squares(&colours, model.grid()), caption: Vec::new() });
        }
        rows.push(Row { heading: subject.pictures.heading(image), tiles });
    }
    let mut notes = vec![
        format!(
            "Each square is a patch of the image, as the model sees it ({}). Red, green and blue are the first three principal \
             components of the patch tokens of all images and models on this sheet, together {:.0} % of their variance.",
            sizes(subject.models),
            100.0 * basis.explained()
        ),
        "Patches of the same colour have similar features. The colour itself has no meaning, and features may differ in what three \
         components do not show. A model that distinguishes background, cells, membranes and parasites gives each a colour of its \
         own, the same in every image."
            .to_owned(),
    ];
    if subject.models.len() > 1 {
        notes.push(
            "Colours can be compared between models that were trained from the same initial weights. Between other models, compare only where \
             colours change."
                .to_owned(),
        );
    }
    let columns = ["image"].into_iter().chain(subject.models.iter().map(|model| model.name.as_str()));
    Ok(PictureTable {
        title: "What patches have in common".to_owned(),
        notes,
        columns: columns.map(str::to_owned).collect(),
        rows,
    })
}

/// The attention of the CLS token, a column for each head.
pub(super) fn attention(subject: &Subject<'_>, model: &Model, seen: &[Seen]) -> Result<PictureTable> {
    let mut rows = Vec::new();
    for (&image, seen) in subject.shown.iter().zip(seen) {
        let mut tiles = vec![subject.original(image, model)?];
        tiles.push(shares(&mean(&seen.attention), model.grid()));
        tiles.extend(seen.attention.iter().map(|head| shares(head, model.grid())));
        rows.push(Row { heading: subject.pictures.heading(image), tiles });
    }
    let heads = seen.first().map_or(0, |seen| seen.attention.len());
    let names = ["image".to_owned(), "mean of heads".to_owned()];
    let notes = vec![
        format!(
            "How the CLS token, which becomes the feature, distributes its attention over the patches in the last block ({}): the mean of all \
             {heads} attention heads, then each head.",
            sizes(std::slice::from_ref(model))
        ),
        "Dark purple means no attention, yellow the largest share in that picture. Below each picture: `sum`, the share of all patches together \
         (the rest goes to the CLS token itself and to registers), and `max`, the share of the brightest patch. If attention were spread evenly, each \
         patch would have the sum divided by the number of patches."
            .to_owned(),
        "Attention shows where a head takes its information from, not why a cell was classified. A few bright patches on plain background are usual \
         in models without registers."
            .to_owned(),
    ];
    let columns = names.into_iter().chain((1..=heads).map(|head| format!("head {head}"))).collect();
    Ok(PictureTable { title: format!("Attention of {}", model.name), notes, columns, rows })
}

/// The nearest neighbours of chosen images, a row for each image and model.
pub(super) fn neighbours(subject: &Subject<'_>, chosen: &[usize], found: &[Found]) -> Result<PictureTable> {
    let mut rows = Vec::new();
    for (place, &image) in chosen.iter().enumerate() {
        for (model, found) in subject.models.iter().zip(found) {
            let mut tiles = vec![subject.original(image, model)?];
            for near in &found[place] {
                let caption = captions(subject.pictures, image, near);
                tiles.push(Tile { picture: subject.picture(near.image, model)?, caption });
            }
            rows.push(Row { heading: format!("{} | {}", subject.pictures.heading(image), model.name), tiles });
        }
    }
    let of = subject.pictures.len();
    let notes = vec![
        format!(
            "Each row begins with the chosen image. Then follow, nearest first, the images with the most similar features among all {of} images, \
             with the Euclidean distance of the features. Distances of two models are on different scales."
        ),
        "A good model finds neighbours of the same class. Those of the same group (patient, slide or field) may be similar only because \
         of stain and illumination: look at the others."
            .to_owned(),
    ];
    let most = rows.iter().map(|row| row.tiles.len()).max().unwrap_or(1);
    let columns = ["image".to_owned()].into_iter().chain((1..most).map(|number| format!("neighbour {number}")));
    Ok(PictureTable { title: "Nearest neighbours".to_owned(), notes, columns: columns.collect(), rows })
}

/// Class, distance, and whether it is of the group of the chosen image.
fn captions(pictures: &Pictures, chosen: usize, near: &Near) -> Vec<String> {
    let group = pictures.group(near.image).filter(|group| Some(group) == pictures.group(chosen).as_ref());
    let at = format!("{:.2}{}", near.distance, if group.is_some() { ", same group" } else { "" });
    vec![pictures.class(near.image).unwrap_or_else(|| pictures.heading(near.image)), at]
}

/// The shares of one head as a picture, with their sum and the largest.
fn shares(shares: &[f32], across: u32) -> Tile {
    let largest = shares.iter().copied().fold(0.0, f32::max);
    let sum: f32 = shares.iter().sum();
    let caption = vec![format!("sum {:.0} %", 100.0 * sum), format!("max {:.1} %", 100.0 * largest)];
    Tile { picture: squares(&on_scale(shares, largest), across), caption }
}

fn mean(heads: &[Vec<f32>]) -> Vec<f32> {
    let patches = heads.first().map_or(0, Vec::len);
    (0..patches).map(|patch| heads.iter().map(|head| head[patch]).sum::<f32>() / heads.len() as f32).collect()
}

/// Sizes of images and grids, for people.
fn sizes(models: &[Model]) -> String {
    let of = |model: &Model| format!("{0} x {0} px in {1} x {1} patches", model.side(), model.grid());
    let mut sizes: Vec<String> = models.iter().map(of).collect();
    sizes.dedup();
    sizes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_drawn_from_nothing_to_its_own_largest_share() {
        let tile = shares(&[0.0, 0.1, 0.2, 0.4], 2);
        assert_eq!(tile.caption, ["sum 70 %", "max 40.0 %"]);
        let at = |x, y| tile.picture.get_pixel(x, y).0;
        assert_eq!((at(0, 0), at(159, 159), at(0, 159)), ([68, 1, 84], [253, 231, 37], [33, 144, 141]));
        assert_eq!(mean(&[vec![0.1, 0.3], vec![0.3, 0.5]]), [0.2, 0.4]);
    }
}
