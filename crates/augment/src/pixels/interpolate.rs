//! Weights of bicubic and Lanczos interpolation as OpenCV computes them.

use std::f64::consts::PI;

/// OpenCV's ways between pixels, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Interpolation {
    /// 0: the pixel itself.
    Nearest,
    /// 1: two by two pixels.
    Linear,
    /// 2: four by four.
    Cubic,
    /// 3: the mean over the area that becomes a pixel; as 1 where an image grows or is distorted.
    Area,
    /// 4: eight by eight.
    Lanczos4,
}

impl Interpolation {
    /// By OpenCV's number, 0 to 4.
    pub(crate) fn numbered(number: i64) -> Option<Self> {
        let all = [Self::Nearest, Self::Linear, Self::Cubic, Self::Area, Self::Lanczos4];
        all.get(usize::try_from(number).ok()?).copied()
    }
}

/// Weights of the pixels at −1, 0, 1 and 2 for a place `t` after pixel 0.
pub(crate) fn cubic(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let (after, before) = (t + 1.0, 1.0 - t);
    let first = ((A * after - 5.0 * A) * after + 8.0 * A) * after - 4.0 * A;
    let second = ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let third = ((A + 2.0) * before - (A + 3.0)) * before * before + 1.0;
    [first, second, third, 1.0 - first - second - third]
}

/// Weights of the pixels at −3 to 4 for a place `t` after pixel 0.
pub(crate) fn lanczos4(t: f32) -> [f32; 8] {
    const S: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const TURNS: [[f64; 2]; 8] = [[1.0, 0.0], [-S, -S], [0.0, 1.0], [S, -S], [-1.0, 0.0], [S, S], [0.0, -1.0], [-S, S]];
    let start = -f64::from(t + 3.0) * PI * 0.25;
    let (sin, cos) = start.sin_cos();
    let mut weights = [0.0f32; 8];
    for (i, weight) in weights.iter_mut().enumerate() {
        let away = t + 3.0 - i as f32;
        *weight = if away.abs() >= 1e-6 {
            let y = -f64::from(away) * PI * 0.25;
            ((TURNS[i][0] * sin + TURNS[i][1] * cos) / (y * y)) as f32
        } else {
            // So large that after division by the sum all others are nothing.
            1e30
        };
    }
    let scale = 1.0 / weights.iter().sum::<f32>();
    weights.map(|w| w * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_a_pixel_is_that_pixel() {
        assert_eq!(cubic(0.0), [0.0, 1.0, 0.0, 0.0]);
        assert!(lanczos4(0.0).iter().zip([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]).all(|(w, e)| (w - e).abs() < 1e-6));
    }

    #[test]
    fn weights_sum_to_one_and_mirror() {
        for t in (0..=32).map(|i| i as f32 / 32.0) {
            assert!((cubic(t).iter().sum::<f32>() - 1.0).abs() < 1e-6, "cubic at {t}");
            assert!((lanczos4(t).iter().sum::<f32>() - 1.0).abs() < 1e-6, "Lanczos at {t}");
            let mut back = lanczos4(1.0 - t);
            back.reverse();
            assert!(lanczos4(t).iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-5), "Lanczos at {t} is not symmetric");
        }
    }
}
