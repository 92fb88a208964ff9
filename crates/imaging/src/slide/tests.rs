use super::*;

#[test]
fn a_slide_is_averaged_where_no_level_is_small() {
    let of = RgbImage::from_fn(9, 6, |x, y| image::Rgb([(10 * (x / 3)) as u8, (10 * (y / 3)) as u8, (x % 3) as u8]));
    let mut small = RgbImage::new(3, 2);
    average(&of, 3, &mut small, (0, 0));
    assert_eq!(small, RgbImage::from_fn(3, 2, |x, y| image::Rgb([10 * x as u8, 10 * y as u8, 1])));
}
