//! Names of the fields of a slide: `a/smear@L1-4032-2016-2016x1344.svs` is the field of `a/smear.svs` whose left edge is at 4032 px and whose
//! top edge is at 2016 px of level 1 (0 is the finest), 2016 px wide and 1344 px high.

use imaging::slide::Area;

use super::pages::ending;

/// The name of a field of the slide `file`.
pub(crate) fn field_name(file: &str, level: usize, area: Area) -> String {
    let Area { x, y, width, height } = area;
    let at = ending(file);
    format!("{}@L{level}-{x}-{y}-{width}x{height}{}", &file[..at], &file[at..])
}

/// The slide, the level and the area of which this is the name; nothing for what names no field.
pub(crate) fn field_of(image: &str) -> Option<(String, usize, Area)> {
    let at = ending(image);
    let (file, place) = image[..at].rsplit_once("@L")?;
    let mut parts = place.split('-');
    let mut number = || parts.next()?.parse::<u32>().ok();
    let (level, x, y) = (number()? as usize, number()?, number()?);
    let (width, height) = parts.next()?.split_once('x')?;
    let area = Area { x, y, width: width.parse().ok()?, height: height.parse().ok()? };
    let file = format!("{file}{}", &image[at..]);
    // Of the ways to write a number, one names a field.
    (field_name(&file, level, area) == image).then_some((file, level, area))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_lead_back_to_their_places() {
        let area = Area { x: 4032, y: 0, width: 2016, height: 1344 };
        for file in ["a/smear.svs", "a@L1-2.b/smear", "x.ome.tif", "a@L0-0-0-1x1.tif"] {
            let name = field_name(file, 1, area);
            assert_eq!(field_of(&name), Some((file.to_owned(), 1, area)), "{name}");
        }
        assert_eq!(field_name("a/smear.svs", 1, area), "a/smear@L1-4032-0-2016x1344.svs");
        for plain in
            ["a.svs", "a@L1.svs", "a@L1-2-3-4.svs", "a@L01-2-3-4x5.svs", "a@L1-2-3-4x5-6.svs", "a@L1-2-3-4x-5.svs"]
        {
            assert_eq!(field_of(plain), None, "{plain}");
        }
    }
}
