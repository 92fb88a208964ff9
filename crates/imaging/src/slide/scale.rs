//! How many micrometres a pixel of the finest level shows, as its first page says it.

/// Micrometres to a pixel that microscopes have. What lies outside is a resolution of print (72, 300 dpi), or made up.
const OF_MICROSCOPES: std::ops::RangeInclusive<f64> = 0.01..=20.0;
/// How far apart the scales across and down may be, as a share.
const SQUARE: f64 = 0.02;

/// What a page says of its scale.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    /// Its description.
    pub(super) description: &'a str,
    /// Pixels to a unit, across and down.
    pub(super) resolution: [Option<f64>; 2],
    /// TIFF's number of that unit: 2 for an inch, 3 for a centimetre.
    pub(super) unit: u16,
}

/// Micrometres to a pixel; nothing where the page does not say it, or its pixels are not square.
pub(super) fn um_per_px(said: &Said<'_>) -> Option<f64> {
    let found = aperio(said.description).or_else(|| ome(said.description)).or_else(|| resolution(said));
    let [across, down] = found?;
    let square = (across - down).abs() <= SQUARE * across.max(down);
    (square && OF_MICROSCOPES.contains(&across)).then_some(across)
}

/// `… |MPP = 0.2520|…`
fn aperio(description: &str) -> Option<[f64; 2]> {
    let part = |part: &str| part.split_once('=').filter(|(key, _)| key.trim() == "MPP")?.1.trim().parse().ok();
    let um: f64 = description.split('|').find_map(part)?;
    Some([um; 2])
}

/// `… PhysicalSizeX="0.25" PhysicalSizeXUnit="µm" …`, the first image of the file.
fn ome(description: &str) -> Option<[f64; 2]> {
    let value = |key: &str| {
        let (_, rest) = description.split_once(&format!("{key}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let side = |axis: char| {
        let unit = match value(&format!("PhysicalSize{axis}Unit")).unwrap_or("µm") {
            "µm" | "μm" | "um" | "&#181;m" | "&#xB5;m" => 1.0,
            "nm" => 1e-3,
            "mm" => 1e3,
            _ => return None,
        };
        Some(value(&format!("PhysicalSize{axis}"))?.parse::<f64>().ok()? * unit)
    };
    let across = side('X')?;
    Some([across, side('Y').unwrap_or(across)])
}

fn resolution(said: &Said<'_>) -> Option<[f64; 2]> {
    let unit = match said.unit {
        2 => 25_400.0,
        3 => 10_000.0,
        _ => return None,
    };
    let [across, down] = said.resolution;
    let across = across?;
    Some([unit / across, unit / down.unwrap_or(across)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(description: &str, resolution: [f64; 2], unit: u16) -> Option<f64> {
        um_per_px(&Said { description, resolution: resolution.map(Some), unit })
    }

    #[test]
    fn scales_are_read_as_aperio_ome_and_tiff_write_them() {
        let none = [0.0; 2];
        assert_eq!(of("Aperio Image Library v11\r\n|AppMag = 40|MPP = 0.2520|Left = 1", none, 1), Some(0.252));
        let ome =
            "<Pixels PhysicalSizeX=\"250\" PhysicalSizeXUnit=\"nm\" PhysicalSizeY=\"250\" PhysicalSizeYUnit=\"nm\"/>";
        assert_eq!(of(ome, none, 1), Some(0.25));
        assert_eq!(of("<Pixels PhysicalSizeX=\"0.5\"/>", none, 1), Some(0.5));
        assert_eq!(of("", [40_000.0; 2], 3), Some(0.25));
        assert_eq!(of("", [101_600.0; 2], 2), Some(0.25));
    }

    #[test]
    fn resolutions_of_print_and_pixels_that_are_not_square_say_nothing() {
        for (resolution, unit) in
            [([72.0; 2], 2), ([300.0; 2], 2), ([0.0; 2], 3), ([40_000.0; 2], 1), ([40_000.0, 20_000.0], 3)]
        {
            assert_eq!(of("", resolution, unit), None, "{resolution:?}");
        }
        assert_eq!(of("|MPP = none|", [f64::NAN; 2], 3), None);
    }
}
