//! The forces between two places on the map: the slopes of the logarithm of their similarity.

use super::curve::Curve;

/// Attraction and repulsion along a curve.
#[derive(Debug, Clone)]
pub(super) struct Forces {
    curve: Curve,
    power: Power,
}

impl Forces {
    pub(super) fn new(curve: Curve) -> Self {
        Self { curve, power: Power::new(curve.b) }
    }

    /// Factor of the difference of two places by which one moves towards the other; at most 0.
    #[inline]
    pub(super) fn attraction(&self, squared: f64) -> f64 {
        if squared <= 0.0 {
            return 0.0;
        }
        let Curve { a, b } = self.curve;
        let power = self.power.of(squared);
        -2.0 * a * b * power / (squared * (a * power + 1.0))
    }

    /// Factor of the difference of two places by which one moves away from the other; at least 0.
    #[inline]
    pub(super) fn repulsion(&self, squared: f64) -> f64 {
        if squared <= 0.0 {
            return 0.0;
        }
        let Curve { a, b } = self.curve;
        2.0 * b / ((0.001 + squared) * (a * self.power.of(squared) + 1.0))
    }
}

/// x^b for positive x, to 10⁻⁹: a map takes hundreds of millions of them, and a library's `pow` would be most of its time.
///
/// x is m · 2^e with m from 1 to 2. The table has 2^(e·b) for each e, and for each of [`PARTS`] parts of the range of m the
/// parabola that touches m^b in its middle. Only additions and products: every machine gets the same bits.
#[derive(Debug, Clone)]
struct Power {
    of_exponent: Vec<f64>,
    of_part: Vec<[f64; 3]>,
}

/// Bits of a mantissa that choose the part.
const PART_BITS: u32 = 8;
const PARTS: usize = 1 << PART_BITS;
/// Bits of an `f64`'s mantissa.
const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const EXPONENTS: usize = 1 << 11;

impl Power {
    fn new(b: f64) -> Self {
        let exponent = |e: usize| libm::exp2((e as f64 - 1023.0) * b);
        let parabola = |part: usize| {
            let middle = 1.0 + (part as f64 + 0.5) / PARTS as f64;
            let power = libm::pow(middle, b);
            [power, b * power / middle, b * (b - 1.0) / 2.0 * power / (middle * middle)]
        };
        Self { of_exponent: (0..EXPONENTS).map(exponent).collect(), of_part: (0..PARTS).map(parabola).collect() }
    }

    /// `x` is positive and finite.
    #[inline]
    fn of(&self, x: f64) -> f64 {
        let bits = x.to_bits();
        let part = (bits >> (MANTISSA_BITS - PART_BITS)) as usize & (PARTS - 1);
        let mantissa = f64::from_bits(bits & ((1 << MANTISSA_BITS) - 1) | 1f64.to_bits());
        let offset = mantissa - (1.0 + (part as f64 + 0.5) / PARTS as f64);
        let [value, slope, bend] = self.of_part[part];
        self.of_exponent[(bits >> MANTISSA_BITS) as usize & (EXPONENTS - 1)]
            * (value + offset * (slope + offset * bend))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_power() {
        for b in [0.4, 0.8950608, 1.0, 1.93] {
            let power = Power::new(b);
            for i in 0..20_000 {
                let x = 2f64.powf(i as f64 / 250.0 - 60.0);
                assert!((power.of(x) / x.powf(b) - 1.0).abs() < 1e-8, "{x}^{b}");
            }
        }
    }

    #[test]
    fn forces_are_the_slopes_of_the_losses() {
        // Attraction descends −ln s, repulsion −ln(1 − s), with s as a function of the distance.
        let curve = Curve::fit(0.1, 1.0);
        let forces = Forces::new(curve);
        let loss = |d: f64| [-curve.similarity(d).ln(), -(1.0 - curve.similarity(d)).ln()];
        for d in [0.3, 1.0, 2.5] {
            let h = 1e-6;
            let slope = |of: usize| (loss(d + h)[of] - loss(d - h)[of]) / (2.0 * h);
            assert!((-forces.attraction(d * d) * d - slope(0)).abs() < 1e-5, "attraction at {d}");
            let softened = d * d / (0.001 + d * d);
            assert!((-forces.repulsion(d * d) * d - softened * slope(1)).abs() < 1e-5, "repulsion at {d}");
        }
        assert_eq!((forces.attraction(0.0), forces.repulsion(0.0)), (0.0, 0.0));
    }
}
