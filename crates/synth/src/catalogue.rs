//! The eighteen synthetic sources: how each one's slides are stained, lit, photographed and filed.
//!
//! Colours are given as a person sees them (8-bit sRGB): of the empty background and of a typical red cell. No source imitates a
//! particular public dataset; together they span what such datasets differ in.

/// How an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    /// JPEG in colour with this quality.
    Jpeg(u8),
    /// JPEG with one channel.
    JpegGrey(u8),
    /// Named `.jpg`; every third file holds PNG data, as happens in public datasets.
    JpegSomePng(u8),
    /// PNG with three channels.
    Png,
    /// PNG with an opaque alpha channel.
    PngAlpha,
    /// PNG with one channel.
    PngGrey,
    /// Windows bitmap, 24 bits a pixel.
    Bmp,
    /// TIFF, 8 bits a channel.
    Tiff,
    /// TIFF, 16 bits a channel.
    Tiff16,
}

impl FileFormat {
    /// The ending of the file's name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Jpeg(_) | Self::JpegGrey(_) | Self::JpegSomePng(_) => "jpg",
            Self::Png | Self::PngAlpha | Self::PngGrey => "png",
            Self::Bmp => "bmp",
            Self::Tiff | Self::Tiff16 => "tif",
        }
    }

    /// Whether the camera saw only brightness.
    pub(crate) fn is_grey(self) -> bool {
        matches!(self, Self::JpegGrey(_) | Self::PngGrey)
    }
}

/// How files are laid out in a source's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileLayout {
    /// All in one folder: `images/slide01_field02.EXT`
    Flat,
    /// `slide 01/field02.EXT`: folder names with spaces.
    Folders,
    /// `images/slide01_field02.EXT` and `images/slide01_field02_mask.png` beside it.
    WithMasks,
}

/// How the labels of an evaluation set are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelFormat {
    /// `labels/slide03_field01.txt` with lines `x y class`.
    Points,
    /// One `cells.csv` with a box a line.
    Boxes,
}

/// How the slides of one source look, and how its files are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceStyle {
    /// Folder and description name.
    pub(crate) name: &'static str,
    /// What a reader should know about it, half a sentence.
    pub(crate) about: &'static str,
    pub(crate) format: FileFormat,
    pub(crate) layout: FileLayout,
    /// Width and height of a field in pixels at `--scale small`.
    pub(crate) size: (u32, u32),
    /// Diameter of an ordinary discocyte in pixels.
    pub(crate) diameter_px: f32,
    /// Share of the field covered by cells.
    pub(crate) cover: f32,
    pub(crate) background: [u8; 3],
    pub(crate) cell: [u8; 3],
    /// Colour of white-cell nuclei and platelets.
    pub(crate) nucleus: [u8; 3],
    /// Standard deviation of the point spread function in pixels.
    pub(crate) blur_px: f32,
    /// Photons (in thousands) that a white pixel counts: fewer are noisier.
    pub(crate) photons: f32,
    /// Loss of light in the corners, 0 to 1.
    pub(crate) vignette: f32,
    /// Slope of the illumination from edge to edge, 0 to 1.
    pub(crate) gradient: f32,
    /// Bright refraction line around cells, 0 to 1.
    pub(crate) halo: f32,
    /// White cells a field, on average.
    pub(crate) white_cells: f32,
    /// Platelets a field, on average.
    pub(crate) platelets: f32,
    /// The labelled evaluation set drawn from the same laboratory, if any, and its crop side in pixels.
    pub(crate) evaluation: Option<(LabelFormat, u32)>,
}

impl SourceStyle {
    /// Side in pixels of a crop that hardly holds more than one cell.
    pub(crate) fn narrow_crop(&self) -> u32 {
        (0.8 * self.diameter_px).round() as u32 * 2
    }
}

const BASE: SourceStyle = SourceStyle {
    name: "",
    about: "",
    format: FileFormat::Jpeg(90),
    layout: FileLayout::Flat,
    size: (680, 456),
    diameter_px: 38.0,
    cover: 0.30,
    background: [230, 226, 222],
    cell: [205, 140, 140],
    nucleus: [104, 66, 140],
    blur_px: 0.9,
    photons: 8.0,
    vignette: 0.10,
    gradient: 0.08,
    halo: 0.25,
    white_cells: 0.0,
    platelets: 2.0,
    evaluation: None,
};

/// The eighteen sources, in the order of their names' first appearance in reports.
pub(crate) const SOURCES: [SourceStyle; 18] = [
    SourceStyle {
        name: "synth-pink-giemsa",
        about: "warm Giemsa-like stain, even light",
        background: [233, 226, 222],
        cell: [204, 138, 136],
        diameter_px: 37.0,
        white_cells: 0.3,
        evaluation: Some((LabelFormat::Points, 72)),
        ..BASE
    },
    SourceStyle {
        name: "synth-grey-wright",
        about: "little contrast, neutral grey background",
        background: [166, 170, 166],
        cell: [134, 108, 113],
        diameter_px: 34.0,
        blur_px: 1.1,
        platelets: 4.0,
        halo: 0.45,
        ..BASE
    },
    SourceStyle {
        name: "synth-teal-camera",
        about: "a camera with a green-blue cast; some files named .jpg hold PNG data",
        format: FileFormat::JpegSomePng(88),
        background: [176, 214, 200],
        cell: [139, 115, 118],
        diameter_px: 35.0,
        cover: 0.34,
        platelets: 6.0,
        evaluation: Some((LabelFormat::Points, 68)),
        ..BASE
    },
    SourceStyle {
        name: "synth-lilac-thin",
        about: "bluish cells on a white field, thin smear",
        format: FileFormat::Png,
        size: (672, 512),
        background: [244, 243, 250],
        cell: [147, 147, 190],
        diameter_px: 41.0,
        cover: 0.27,
        white_cells: 0.25,
        evaluation: Some((LabelFormat::Boxes, 80)),
        ..BASE
    },
    SourceStyle {
        name: "synth-mint-zoom",
        about: "high magnification, strong stain, alpha channel",
        format: FileFormat::PngAlpha,
        size: (512, 512),
        background: [190, 240, 216],
        cell: [209, 74, 112],
        nucleus: [58, 42, 112],
        diameter_px: 76.0,
        cover: 0.42,
        blur_px: 1.8,
        white_cells: 0.6,
        platelets: 1.0,
        ..BASE
    },
    SourceStyle {
        name: "synth-olive-dark",
        about: "under-exposed, dark red cells",
        format: FileFormat::Jpeg(92),
        background: [150, 158, 132],
        cell: [108, 52, 60],
        diameter_px: 36.0,
        photons: 3.0,
        vignette: 0.2,
        ..BASE
    },
    SourceStyle {
        name: "synth-cream-faded",
        about: "old, faded slide, out of focus, uncompressed bitmaps",
        format: FileFormat::Bmp,
        size: (480, 480),
        background: [236, 227, 208],
        cell: [213, 177, 152],
        diameter_px: 58.0,
        blur_px: 2.4,
        halo: 0.1,
        white_cells: 0.4,
        ..BASE
    },
    SourceStyle {
        name: "synth-unstained-phase",
        about: "unstained, one grey channel, bright refraction lines",
        format: FileFormat::PngGrey,
        size: (800, 450),
        background: [158, 158, 158],
        cell: [118, 118, 118],
        nucleus: [92, 92, 92],
        diameter_px: 40.0,
        halo: 1.0,
        blur_px: 1.2,
        platelets: 0.5,
        ..BASE
    },
    SourceStyle {
        name: "synth-amber-tiff",
        about: "halogen light, low magnification, TIFF",
        format: FileFormat::Tiff,
        layout: FileLayout::Folders,
        background: [246, 226, 182],
        cell: [192, 114, 74],
        diameter_px: 29.0,
        cover: 0.26,
        blur_px: 0.7,
        ..BASE
    },
    SourceStyle {
        name: "synth-rose-deep",
        about: "crowded field, 16 bits a channel, TIFF",
        format: FileFormat::Tiff16,
        size: (512, 480),
        background: [240, 221, 226],
        cell: [190, 82, 112],
        diameter_px: 43.0,
        cover: 0.46,
        photons: 20.0,
        white_cells: 0.3,
        ..BASE
    },
    SourceStyle {
        name: "synth-violet-vignette",
        about: "strong vignetting",
        format: FileFormat::Jpeg(80),
        layout: FileLayout::Folders,
        background: [216, 205, 230],
        cell: [142, 94, 150],
        diameter_px: 33.0,
        vignette: 0.5,
        ..BASE
    },
    SourceStyle {
        name: "synth-sepia-noise",
        about: "low light: noise and coarse compression",
        format: FileFormat::Jpeg(68),
        background: [198, 178, 150],
        cell: [142, 102, 82],
        diameter_px: 30.0,
        photons: 0.7,
        gradient: 0.2,
        ..BASE
    },
    SourceStyle {
        name: "synth-white-crisp",
        about: "slide scanner: sharp, white background",
        format: FileFormat::Png,
        background: [250, 250, 249],
        cell: [226, 122, 118],
        nucleus: [96, 50, 132],
        diameter_px: 39.0,
        blur_px: 0.65,
        photons: 30.0,
        vignette: 0.0,
        gradient: 0.02,
        halo: 0.1,
        white_cells: 0.3,
        evaluation: Some((LabelFormat::Boxes, 76)),
        ..BASE
    },
    SourceStyle {
        name: "synth-green-filter",
        about: "green filter, one grey channel, JPEG",
        format: FileFormat::JpegGrey(88),
        background: [205, 205, 205],
        cell: [108, 108, 108],
        nucleus: [60, 60, 60],
        diameter_px: 37.0,
        vignette: 0.25,
        ..BASE
    },
    SourceStyle {
        name: "synth-brown-bitmap",
        about: "brownish stain, small bitmaps, uneven light",
        format: FileFormat::Bmp,
        layout: FileLayout::Folders,
        size: (480, 360),
        background: [222, 212, 190],
        cell: [158, 118, 90],
        diameter_px: 32.0,
        gradient: 0.35,
        ..BASE
    },
    SourceStyle {
        name: "synth-salmon-wide",
        about: "wide field of many small cells",
        format: FileFormat::Jpeg(85),
        size: (960, 720),
        background: [238, 225, 212],
        cell: [222, 148, 122],
        diameter_px: 25.0,
        cover: 0.36,
        blur_px: 0.7,
        white_cells: 0.8,
        platelets: 10.0,
        ..BASE
    },
    SourceStyle {
        name: "synth-steel-soft",
        about: "cold light, soft focus",
        format: FileFormat::Png,
        background: [200, 210, 222],
        cell: [132, 122, 140],
        diameter_px: 47.0,
        blur_px: 2.0,
        cover: 0.33,
        ..BASE
    },
    SourceStyle {
        name: "synth-peach-masks",
        about: "cell masks beside the images, which are not images to cut",
        format: FileFormat::Jpeg(94),
        layout: FileLayout::WithMasks,
        size: (560, 448),
        background: [244, 220, 200],
        cell: [206, 112, 92],
        diameter_px: 40.0,
        white_cells: 0.5,
        ..BASE
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn eighteen_sources_with_distinct_names_and_four_evaluation_sets() {
        let names: BTreeSet<_> = SOURCES.iter().map(|style| style.name).collect();
        assert_eq!(names.len(), 18);
        assert_eq!(SOURCES.iter().filter(|style| style.evaluation.is_some()).count(), 4);
    }

    #[test]
    fn cells_absorb_light_in_every_source() {
        for style in &SOURCES {
            let sum = |c: [u8; 3]| c.iter().map(|v| u32::from(*v)).sum::<u32>();
            assert!(sum(style.cell) < sum(style.background), "{}", style.name);
        }
    }
}
