//! A field of a slide: where it lies, which of its squares show smear, and which labels of the slide are its own.

use imaging::slide::Area;
use run_spec::ids::Product;

use super::record::UsedImage;
use crate::annotation::{Annotation, Geometry, ImageLabels};
use crate::cutting::{Cut, SmearMap};

/// Longest side of a field, px: a field is decoded as one, and each thread holds one.
const FIELD_PX: u32 = 2048;
/// Pixels around a field of cells that are read with it, so that cells at its edge are whole.
const AROUND_PX: u32 = 256;
/// Side of the squares in which smear is looked for in a field of cells, px.
const SMEAR_PX: u32 = 256;
/// Fields of a slide, at most.
const MOST_FIELDS: usize = 100_000;

/// What fields of one slide share.
#[derive(Debug)]
pub(super) struct SlideView<'a> {
    /// Width and height of the level, px.
    pub(super) size: (u32, u32),
    /// How many pixels of the finest level, in which labels are, a pixel of this level covers.
    pub(super) downsampling: f64,
    /// Labels of the slide.
    pub(super) labels: &'a ImageLabels,
    /// Where it shows smear.
    pub(super) smear: &'a SmearMap,
    /// Least share of smear in a square.
    pub(super) least: f64,
}

/// A field of a slide.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlideField<'a> {
    pub(super) view: &'a SlideView<'a>,
    /// The pixels that are read: the field and a margin around it for cells at its edge.
    pub(super) area: Area,
    /// The pixels of `area` that belong to this field alone.
    pub(super) own: Area,
    /// Side of the squares in which smear is looked for, px.
    pub(super) side: u32,
}

impl<'a> SlideView<'a> {
    /// The fields of the level, by rows. Fields of patches hold whole squares of `side` px only.
    ///
    /// # Errors
    /// The reason for which the slide is not used.
    pub(super) fn fields(&'a self, product: Product, side: u32) -> Result<Vec<SlideField<'a>>, String> {
        let (width, height) = self.size;
        let (step, around, side) = match product {
            Product::Patches => ((FIELD_PX / side).max(1) * side, 0, side),
            Product::Cells => (FIELD_PX, AROUND_PX, SMEAR_PX),
        };
        let whole = |length: u32| if product == Product::Patches { length / side * side } else { length };
        let (right, bottom) = (whole(width), whole(height));
        if right == 0 || bottom == 0 {
            return Err(format!("its level of {width}×{height} px is smaller than a patch of {side}"));
        }
        let count = right.div_ceil(step) as usize * bottom.div_ceil(step) as usize;
        if count > MOST_FIELDS {
            return Err(format!(
                "its level of {width}×{height} px has {count} fields, over {MOST_FIELDS}; read a coarser level"
            ));
        }
        let span = |start: u32, end: u32| (start, step.min(end - start));
        let wider = |(start, side): (u32, u32), end: u32| {
            let first = start.saturating_sub(around);
            (first, (start + side + around).min(end) - first)
        };
        let field = |x: u32, y: u32| {
            let (across, down) = (span(x, right), span(y, bottom));
            let own = area(across, down);
            SlideField { view: self, area: area(wider(across, right), wider(down, bottom)), own, side }
        };
        let rows = (0..bottom).step_by(step as usize);
        Ok(rows.flat_map(|y| (0..right).step_by(step as usize).map(move |x| field(x, y))).collect())
    }
}

fn area((x, width): (u32, u32), (y, height): (u32, u32)) -> Area {
    Area { x, y, width, height }
}

impl SlideField<'_> {
    /// The greatest share of smear in any of its squares.
    pub(super) fn most_smear(&self) -> f64 {
        let Area { x, y, width, height } = self.own;
        let step = self.side as usize;
        let squares = (y..y + height).step_by(step).flat_map(|y| (x..x + width).step_by(step).map(move |x| (x, y)));
        squares.map(|place| self.smear_at(place, self.side)).fold(0.0, f64::max)
    }

    /// The share of smear in a square of the level.
    fn smear_at(&self, (x, y): (u32, u32), side: u32) -> f64 {
        let (width, height) = (f64::from(self.view.size.0), f64::from(self.view.size.1));
        let end = |start: u32| f64::from(start) + f64::from(side);
        self.view.smear.share([f64::from(x) / width, f64::from(y) / height, end(x) / width, end(y) / height])
    }

    /// The labels of the slide that are of this field, in its pixels.
    pub(super) fn labels(&self) -> ImageLabels {
        let ImageLabels::Annotations(all) = self.view.labels else { return self.view.labels.clone() };
        let own: Vec<Annotation> = all.iter().filter_map(|annotation| self.annotation(annotation)).collect();
        if own.is_empty() {
            ImageLabels::Missing("no label of the slide lies in this field".to_owned())
        } else {
            ImageLabels::Annotations(own)
        }
    }

    fn annotation(&self, of: &Annotation) -> Option<Annotation> {
        let level = |value: f64| value / self.view.downsampling;
        let (x, y) = match of.geometry {
            Geometry::Point { x, y } => (x, y),
            Geometry::Box { x0, y0, x1, y1 } => (f64::midpoint(x0, x1), f64::midpoint(y0, y1)),
        };
        let right = |x: f64| level(x) - f64::from(self.area.x);
        let below = |y: f64| level(y) - f64::from(self.area.y);
        let geometry = match of.geometry {
            Geometry::Point { x, y } => Geometry::Point { x: right(x), y: below(y) },
            Geometry::Box { x0, y0, x1, y1 } => {
                Geometry::Box { x0: right(x0), y0: below(y0), x1: right(x1), y1: below(y1) }
            }
        };
        let is_own = self.owns(level(x), level(y));
        is_own.then(|| Annotation { geometry, region: None, label: of.label.clone(), at: of.at.clone() })
    }

    /// Whether a label of the slide is of this field.
    pub(super) fn has(&self, annotation: &Annotation) -> bool {
        self.annotation(annotation).is_some()
    }

    /// Whether a place of the level lies in what is its own.
    fn owns(&self, x: f64, y: f64) -> bool {
        let within =
            |value: f64, start: u32, side: u32| (f64::from(start)..f64::from(start) + f64::from(side)).contains(&value);
        within(x, self.own.x, self.own.width) && within(y, self.own.y, self.own.height)
    }

    /// Takes out the patches that show glass, and the cells found in pixels whose centre lies in another field. (Labels are of one field
    /// already, and so are cells cut around them.)
    ///
    /// # Errors
    /// No row is left.
    pub(super) fn keep_own(&self, used: &mut UsedImage, product: Product) -> Result<(), String> {
        if product == Product::Cells && used.cells.is_empty() {
            return Ok(());
        }
        let stays: Vec<bool> = used.cuts.iter().map(|cut| self.keeps(cut, product)).collect();
        let glass = used.cuts.iter().zip(&stays).filter(|(_, stays)| !**stays);
        if product == Product::Patches {
            used.unused_px += glass.map(|(cut, _)| u64::from(cut.w) * u64::from(cut.h)).sum::<u64>();
        }
        let mut kept = stays.iter();
        used.cuts.retain(|_| kept.next().copied().unwrap_or(true));
        let mut kept = stays.iter();
        used.cells.retain(|_| kept.next().copied().unwrap_or(true));
        if used.cuts.is_empty() {
            Err("all of its squares show glass or belong to fields beside it".to_owned())
        } else {
            Ok(())
        }
    }

    fn keeps(&self, cut: &Cut, product: Product) -> bool {
        let place = |start: u32, at: i32| f64::from(start) + f64::from(at);
        let (x, y) = (place(self.area.x, cut.x), place(self.area.y, cut.y));
        match product {
            Product::Patches => self.smear_at((x as u32, y as u32), cut.w) >= self.view.least,
            Product::Cells => self.owns(x + f64::from(cut.w) / 2.0, y + f64::from(cut.h) / 2.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use imaging::RgbImage;

    use super::*;
    use crate::schema::SmearRule;

    /// A slide of 5000 × 2300 px whose left half is dark.
    fn map() -> SmearMap {
        let overview = RgbImage::from_fn(500, 230, |x, _| image::Rgb([if x < 250 { 120 } else { 230 }; 3]));
        SmearMap::of(&overview, &SmearRule { glass: Some([230; 3]), ..SmearRule::default() })
    }

    fn view<'a>(smear: &'a SmearMap, labels: &'a ImageLabels) -> SlideView<'a> {
        SlideView { size: (5000, 2300), downsampling: 2.0, labels, smear, least: 0.5 }
    }

    fn point(x: f64, y: f64) -> Annotation {
        Annotation { geometry: Geometry::Point { x, y }, region: None, label: "a".into(), at: String::new() }
    }

    #[test]
    fn fields_of_patches_hold_whole_squares_and_miss_none() {
        let (map, labels) = (map(), ImageLabels::Missing(String::new()));
        let view = view(&map, &labels);
        let fields = view.fields(Product::Patches, 224).expect("fields");
        let squares: u32 = fields.iter().map(|field| field.area.width / 224 * (field.area.height / 224)).sum();
        assert_eq!((fields.len(), squares), (6, 22 * 10));
        assert!(fields.iter().all(|field| field.area == field.own && field.area.width <= 2016));
        assert!(view.fields(Product::Patches, 2400).is_err_and(|reason| reason.contains("smaller than a patch")));
        assert_eq!(view.fields(Product::Patches, 2300).expect("fields").len(), 2);
    }

    #[test]
    fn squares_of_glass_are_left_out() {
        let (map, labels) = (map(), ImageLabels::Missing(String::new()));
        let view = view(&map, &labels);
        let fields = view.fields(Product::Patches, 250).expect("fields");
        let smear: Vec<f64> = fields.iter().map(|field| field.most_smear()).collect();
        assert_eq!((fields[1].area.x, fields[1].area.width), (2000, 2000));
        assert_eq!(smear, [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
        let cut =
            |x| Cut { x, y: 0, w: 250, h: 250, label: None, fill: crate::schema::Fill::Reflect, resample_to: None };
        let mut used = UsedImage::of_cuts("g".into(), vec![cut(0), cut(250), cut(500), cut(750)]);
        fields[1].keep_own(&mut used, Product::Patches).expect("smear");
        assert_eq!((used.cuts.len(), used.unused_px), (2, 2 * 250 * 250));
        assert!(fields[2].keep_own(&mut used, Product::Patches).is_err());
    }

    #[test]
    fn a_label_is_of_one_field_and_moves_with_it() {
        let (map, labels) = (map(), ImageLabels::Annotations(vec![point(4100.0, 4096.0), point(4095.0, 90.0)]));
        let view = view(&map, &labels);
        let fields = view.fields(Product::Cells, 0).expect("fields");
        assert_eq!(fields.len(), 6);
        assert_eq!((fields[1].area.x, fields[1].area.width, fields[1].own.x), (1792, 2560, 2048));
        let of: Vec<usize> = fields
            .iter()
            .map(|field| if let ImageLabels::Annotations(own) = field.labels() { own.len() } else { 0 })
            .collect();
        assert_eq!(of, [1, 0, 0, 0, 1, 0]);
        let ImageLabels::Annotations(own) = fields[4].labels() else { panic!("a label") };
        assert_eq!(own[0].geometry, Geometry::Point { x: 2050.0 - 1792.0, y: 256.0 });
    }
}
