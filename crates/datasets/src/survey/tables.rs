//! The report on a survey: a CSV table of images, of labels, of flawed rows, of cells and of copies.
//!
//! Tables are made from the records of a survey alone, so they are the same bytes however often a build was interrupted.

use near_copies::{CopyKind, Frame};
use run_spec::ids::{PatchKey, Product, patch_id};

use super::copies::CopyPair;
use super::record::ImageRecord;
use crate::error::DatasetError;
use crate::quality::FlawedRow;
use crate::reading::LocatedSource;

/// A table of the report, written to memory.
struct ReportTable {
    name: &'static str,
    writer: csv::Writer<Vec<u8>>,
}

impl ReportTable {
    /// A table whose `columns` are separated by commas.
    fn new(name: &'static str, columns: &str) -> Result<Self, DatasetError> {
        let mut table = Self { name, writer: csv::Writer::from_writer(Vec::new()) };
        table.push(columns.split(','))?;
        Ok(table)
    }

    fn push<T: AsRef<[u8]>>(&mut self, cells: impl IntoIterator<Item = T>) -> Result<(), DatasetError> {
        self.writer.write_record(cells).map_err(|error| DatasetError::Report { table: self.name, error })
    }

    fn finish(self) -> Result<Vec<u8>, DatasetError> {
        let failed =
            |error: csv::IntoInnerError<_>| DatasetError::Report { table: self.name, error: error.into_error().into() };
        self.writer.into_inner().map_err(failed)
    }
}

/// One row for each image of each source, used or not. `groups` are those of the images.
///
/// # Errors
/// None that writing to memory can meet.
pub fn image_table(
    sources: &[LocatedSource],
    images: &[ImageRecord],
    groups: &[String],
) -> Result<Vec<u8>, DatasetError> {
    let columns = "source,image,status,reason,rows,unused_px,labels_unused,format,width,height,group,notes,file_blake3,pixel_digest";
    let mut table = ReportTable::new("images", columns)?;
    for (image, group) in images.iter().zip(groups) {
        let (status, reason, unused_px) = match &image.used {
            Ok(used) => ("used", "", used.unused_px),
            Err(reason) => ("unused", reason.as_str(), 0),
        };
        let info = |text: fn(&super::record::ImageInfo) -> String| image.info.as_ref().map_or_else(String::new, text);
        table.push([
            sources[image.source].source.name.clone(),
            image.image.clone(),
            status.to_owned(),
            reason.to_owned(),
            image.cuts().len().to_string(),
            unused_px.to_string(),
            image.issues.len().to_string(),
            info(|info| info.format.to_owned()),
            info(|info| info.width.to_string()),
            info(|info| info.height.to_string()),
            group.clone(),
            image.notes.join("; "),
            info(|info| info.file.to_string()),
            info(|info| info.pixels.to_string()),
        ])?;
    }
    table.finish()
}

/// One row for each label that is not used.
///
/// # Errors
/// None that writing to memory can meet.
pub fn label_table(sources: &[LocatedSource], images: &[ImageRecord]) -> Result<Vec<u8>, DatasetError> {
    let mut table = ReportTable::new("labels", "source,image,at,reason")?;
    for image in images {
        for issue in &image.issues {
            table.push([&sources[image.source].source.name, &image.image, &issue.at, &issue.reason])?;
        }
    }
    table.finish()
}

/// One row for each patch or cell with a flaw: what was measured of it, and whether it is kept, flagged or dropped.
///
/// # Errors
/// None that writing to memory can meet.
pub fn quality_table(
    sources: &[LocatedSource],
    images: &[ImageRecord],
    product: Product,
) -> Result<Vec<u8>, DatasetError> {
    let mut table = ReportTable::new("quality", "id,source,image,x,y,w,h,action,flaws,shown,sharpness,clipped")?;
    for record in images {
        let (source, image) = (&sources[record.source].source.name, &record.image);
        for FlawedRow { x, y, w, h, measures, flaws, action } in &record.flawed {
            let key = PatchKey { source, image, x: i64::from(*x), y: i64::from(*y), w: *w, h: *h, product };
            let flaws: Vec<&str> = flaws.iter().map(|flaw| flaw.name()).collect();
            table.push([
                patch_id(&key).to_string(),
                source.clone(),
                image.clone(),
                x.to_string(),
                y.to_string(),
                w.to_string(),
                h.to_string(),
                action.name().to_owned(),
                flaws.join("; "),
                format!("{:.4}", measures.shown),
                format!("{:.2}", measures.sharpness),
                format!("{:.4}", measures.clipped),
            ])?;
        }
    }
    table.finish()
}

/// One row for each cell with an outline: the row of the set that shows it, its size and shape, and its mask. `None` where no source has
/// outlined cells.
///
/// # Errors
/// None that writing to memory can meet.
pub fn cell_table(sources: &[LocatedSource], images: &[ImageRecord]) -> Result<Option<Vec<u8>>, DatasetError> {
    if !sources.iter().any(|located| located.source.cells.has_outlines()) {
        return Ok(None);
    }
    let columns = "source,image,row_x,row_y,row_w,label,centre_x,centre_y,area_px,circularity,at_edge,mask_x,mask_y,mask_w,mask_h,mask_runs";
    let mut table = ReportTable::new("cells", columns)?;
    for image in images {
        let source = &sources[image.source].source.name;
        for (cut, cell) in image.used.iter().flat_map(|used| used.cuts.iter().zip(&used.cells)) {
            table.push([
                source.clone(),
                image.image.clone(),
                cut.x.to_string(),
                cut.y.to_string(),
                cut.w.to_string(),
                cut.label.clone().unwrap_or_default(),
                format!("{:.2}", cell.centre.0),
                format!("{:.2}", cell.centre.1),
                cell.area.to_string(),
                format!("{:.4}", cell.circularity),
                cell.at_edge.to_string(),
                cell.x.to_string(),
                cell.y.to_string(),
                cell.w.to_string(),
                cell.h.to_string(),
                cell.runs(),
            ])?;
        }
    }
    table.finish().map(Some)
}

/// One row for each pair of copies, in the order of `pairs`.
///
/// # Errors
/// None that writing to memory can meet.
pub fn copy_table(pairs: &[CopyPair<'_>]) -> Result<Vec<u8>, DatasetError> {
    let columns = "crosses,how,score,mirrored,angle_deg,scale,squashed,source_a,image_a,role_a,group_a,source_b,image_b,role_b,group_b";
    let mut table = ReportTable::new("copies", columns)?;
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    for CopyPair { crosses, kind, sides } in pairs {
        let mut cells = vec![crosses.name().to_owned(), kind.name().to_owned(), format!("{:.3}", kind.score())];
        match kind {
            CopyKind::Near(registration) => cells.extend([
                yes(registration.mirrored),
                format!("{:.1}", registration.angle),
                format!("{:.3}", registration.scale),
                yes(registration.frame == Frame::Whole),
            ]),
            CopyKind::Bytes | CopyKind::Pixels => cells.extend(["no", "0.0", "1.000", "no"].map(str::to_owned)),
        }
        for side in sides {
            cells.extend([side.name, side.image, side.role.name(), side.group].map(str::to_owned));
        }
        table.push(cells)?;
    }
    table.finish()
}
