//! A sorting network over many values side by side.

/// Values that a sorting network works on at once.
pub(crate) const SORTED: usize = 64;

/// Compare-exchanges the lanes `a` and `b` of `lanes` for every pair of `network`.
#[inline(always)]
pub(super) fn sort_lanes(lanes: &mut [[u8; SORTED]], network: &[(u8, u8)]) {
    for &(a, b) in network {
        let (x, y) = (lanes[a as usize], lanes[b as usize]);
        let (mut low, mut high) = ([0u8; SORTED], [0u8; SORTED]);
        for i in 0..SORTED {
            low[i] = x[i].min(y[i]);
            high[i] = x[i].max(y[i]);
        }
        lanes[a as usize] = low;
        lanes[b as usize] = high;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sort_lanes_avx2(lanes: &mut [[u8; SORTED]], network: &[(u8, u8)]) {
    sort_lanes(lanes, network);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn sort_lanes_avx512(lanes: &mut [[u8; SORTED]], network: &[(u8, u8)]) {
    sort_lanes(lanes, network);
}

/// Runs a sorting network over [`SORTED`] values at once.
pub(crate) fn sort_network(lanes: &mut [[u8; SORTED]], network: &[(u8, u8)]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            // SAFETY: the line above found both features that `sort_lanes_avx512` is compiled for.
            return unsafe { sort_lanes_avx512(lanes, network) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the line above found the feature that `sort_lanes_avx2` is compiled for.
            return unsafe { sort_lanes_avx2(lanes, network) };
        }
    }
    sort_lanes(lanes, network);
}
