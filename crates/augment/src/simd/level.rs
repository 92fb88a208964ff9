//! How wide the processor's registers are.

/// What a loop is compiled for. A processor that has one has all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What every build supports.
    Baseline,
    /// AVX2 and FMA: 256 bits.
    Avx2,
    /// AVX-512 F, BW, DQ and VL too: 512 bits.
    Avx512,
}

/// The highest level that this processor has.
#[inline]
pub(crate) fn level() -> Level {
    let found = detected();
    #[cfg(test)]
    let found = found.min(tests::CAP.get());
    found
}

// The macro keeps what it finds; a call is a few loads.
#[cfg(target_arch = "x86_64")]
fn detected() -> Level {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        return Level::Baseline;
    }
    let wider = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    if wider { Level::Avx512 } else { Level::Avx2 }
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> Level {
    Level::Baseline
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// The highest level that this thread's loops use.
        pub(super) static CAP: Cell<Level> = const { Cell::new(Level::Avx512) };
    }

    /// Runs a comparison with the scalar twins at each level that this processor has above the baseline, which is theirs.
    pub(in crate::simd) fn at_each_level(compare: impl Fn()) {
        for cap in [Level::Avx2, Level::Avx512] {
            CAP.set(cap);
            if level() == cap {
                compare();
            }
        }
        CAP.set(Level::Avx512);
    }
}
