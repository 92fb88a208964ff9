//! Eigenvectors of a symmetric 3 x 3 matrix with LAPACK's signs.
//!
//! FancyPCA adds a vector whose signs follow those of the eigenvectors, which mathematics leaves open. So this walks the
//! path of `dsyevd` for small matrices: Householder tridiagonalisation, then implicit QL/QR (`dsteqr`).

/// Eigenvalues in ascending order and the matrix whose columns are the eigenvectors, of the lower triangle of `a`.
pub(crate) fn eigh3(a: [[f64; 3]; 3]) -> ([f64; 3], [[f64; 3]; 3]) {
    let (mut d, mut e, reflector) = tridiagonal(a);
    let mut z = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    diagonalise(&mut d, &mut e, &mut z);
    if let Some((tau, v)) = reflector {
        let [_, middle, bottom] = &mut z;
        for (m, b) in middle.iter_mut().zip(bottom) {
            let sum = *m + v * *b;
            *m -= tau * sum;
            *b -= tau * sum * v;
        }
    }
    (d, z)
}

/// `dsytd2`, lower: diagonal, subdiagonal and the reflector `I - tau [1, v] [1, v]ᵀ` on the last two indices.
fn tridiagonal(a: [[f64; 3]; 3]) -> ([f64; 3], [f64; 2], Option<(f64, f64)>) {
    let (alpha, x) = (a[1][0], a[2][0]);
    if x == 0.0 {
        return ([a[0][0], a[1][1], a[2][2]], [alpha, a[2][1]], None);
    }
    let beta = -alpha.hypot(x).copysign(alpha);
    let tau = (beta - alpha) / beta;
    let v = x * (1.0 / (alpha - beta));
    let mut p = [tau * (a[1][1] + a[2][1] * v), tau * (a[2][1] + a[2][2] * v)];
    let half = -0.5 * tau * (p[0] + p[1] * v);
    p[0] += half;
    p[1] += half * v;
    let d = [a[0][0], a[1][1] - 2.0 * p[0], a[2][2] - 2.0 * v * p[1]];
    (d, [beta, a[2][1] - v * p[0] - p[1]], Some((tau, v)))
}

/// Rotates columns `j` and `j + 1` of `z` (`dlasr`, side R, pivot V).
fn rotate(z: &mut [[f64; 3]; 3], j: usize, c: f64, s: f64) {
    for row in z {
        let right = row[j + 1];
        row[j + 1] = c * right - s * row[j];
        row[j] = s * right + c * row[j];
    }
}

/// `dlartg`: `(c, s, r)` with `c f + s g = r`.
fn plane_rotation(f: f64, g: f64) -> (f64, f64, f64) {
    if g == 0.0 {
        (1.0, 0.0, f)
    } else if f == 0.0 {
        (0.0, 1f64.copysign(g), g.abs())
    } else {
        let d = (f * f + g * g).sqrt();
        let r = d.copysign(f);
        (f.abs() / d, g / r, r)
    }
}

/// `dlaev2`: the eigenvalues of `[[a, b], [b, c]]`, larger magnitude first, and the vector of the first.
fn two_by_two(a: f64, b: f64, c: f64) -> (f64, f64, f64, f64) {
    let (sum, diff, twice) = (a + c, a - c, b + b);
    let (adf, ab) = (diff.abs(), twice.abs());
    let (large, small) = if a.abs() > c.abs() { (a, c) } else { (c, a) };
    let root = if adf > ab {
        adf * (1.0 + (ab / adf) * (ab / adf)).sqrt()
    } else if adf < ab {
        ab * (1.0 + (adf / ab) * (adf / ab)).sqrt()
    } else {
        ab * std::f64::consts::SQRT_2
    };
    let other = |first: f64| (large / first) * small - (b / first) * b;
    let (rt1, rt2, sign1) = if sum < 0.0 {
        let first = 0.5 * (sum - root);
        (first, other(first), -1)
    } else if sum > 0.0 {
        let first = 0.5 * (sum + root);
        (first, other(first), 1)
    } else {
        (0.5 * root, -0.5 * root, 1)
    };
    let (cs, sign2) = if diff >= 0.0 { (diff + root, 1) } else { (diff - root, -1) };
    let (mut c1, mut s1);
    if cs.abs() > ab {
        let cot = -twice / cs;
        s1 = 1.0 / (1.0 + cot * cot).sqrt();
        c1 = cot * s1;
    } else if ab == 0.0 {
        (c1, s1) = (1.0, 0.0);
    } else {
        let tan = -cs / twice;
        c1 = 1.0 / (1.0 + tan * tan).sqrt();
        s1 = tan * c1;
    }
    if sign1 == sign2 {
        (c1, s1) = (-s1, c1);
    }
    (rt1, rt2, c1, s1)
}

/// `dsteqr` with eigenvectors, for n = 3.
fn diagonalise(d: &mut [f64; 3], e: &mut [f64; 2], z: &mut [[f64; 3]; 3]) {
    const EPS: f64 = f64::EPSILON / 2.0;
    let mut budget = 90;
    let mut next = 0;
    while next < 3 && budget > 0 {
        if next > 0 {
            e[next - 1] = 0.0;
        }
        let negligible = |m: usize, d: &[f64; 3], e: &[f64; 2]| {
            e[m].abs() == 0.0 || e[m].abs() <= d[m].abs().sqrt() * d[m + 1].abs().sqrt() * EPS
        };
        let mut m = next;
        while m < 2 && !negligible(m, d, e) {
            m += 1;
        }
        if m < 2 {
            e[m] = 0.0;
        }
        let (first, last) = (next, m);
        next = m + 1;
        if first == last {
            continue;
        }
        if d[last].abs() < d[first].abs() {
            qr(d, e, z, first, last, &mut budget);
        } else {
            ql(d, e, z, first, last, &mut budget);
        }
        // A block that ran out of its budget is looked at again from its start.
        if (first..last).any(|i| e[i] != 0.0) {
            next = first;
        }
    }
    for i in 0..2 {
        let smallest = (i..3).fold(i, |k, j| if d[j] < d[k] { j } else { k });
        if smallest != i {
            d.swap(i, smallest);
            z.iter_mut().for_each(|row| row.swap(i, smallest));
        }
    }
}

fn small(e: f64, a: f64, b: f64) -> bool {
    const EPS: f64 = f64::EPSILON / 2.0;
    e * e <= (EPS * EPS * a.abs()) * b.abs() + f64::MIN_POSITIVE
}

/// Implicit QL on the block `l..=last`, the smaller end first.
fn ql(d: &mut [f64; 3], e: &mut [f64; 2], z: &mut [[f64; 3]; 3], mut l: usize, last: usize, budget: &mut u32) {
    while l <= last {
        let m = (l..last).find(|&m| small(e[m], d[m], d[m + 1])).unwrap_or(last);
        if m < last {
            e[m] = 0.0;
        }
        let p = d[l];
        if m == l {
            l += 1;
            continue;
        }
        if m == l + 1 {
            let (rt1, rt2, c, s) = two_by_two(d[l], e[l], d[l + 1]);
            rotate(z, l, c, s);
            (d[l], d[l + 1], e[l]) = (rt1, rt2, 0.0);
            l += 2;
            continue;
        }
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let shift = (d[l + 1] - p) / (2.0 * e[l]);
        let r = shift.hypot(1.0);
        let mut g = d[m] - p + e[l] / (shift + r.copysign(shift));
        let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
        for i in (l..m).rev() {
            let (f, b) = (s * e[i], c * e[i]);
            let r;
            (c, s, r) = plane_rotation(g, f);
            if i != m - 1 {
                e[i + 1] = r;
            }
            g = d[i + 1] - p;
            let r = (d[i] - g) * s + 2.0 * c * b;
            p = s * r;
            d[i + 1] = g + p;
            g = c * r - b;
            rotate(z, i, c, -s);
        }
        d[l] -= p;
        e[l] = g;
    }
}

/// Implicit QR on the block `first..=l`, from its larger index down.
fn qr(d: &mut [f64; 3], e: &mut [f64; 2], z: &mut [[f64; 3]; 3], first: usize, last: usize, budget: &mut u32) {
    let mut l = last as isize;
    let first = first as isize;
    while l >= first {
        let at = l as usize;
        let m = (first as usize + 1..=at).rev().find(|&m| small(e[m - 1], d[m], d[m - 1])).unwrap_or(first as usize);
        if m as isize > first {
            e[m - 1] = 0.0;
        }
        let p = d[at];
        if m == at {
            l -= 1;
            continue;
        }
        if m + 1 == at {
            let (rt1, rt2, c, s) = two_by_two(d[at - 1], e[at - 1], d[at]);
            rotate(z, at - 1, c, s);
            (d[at - 1], d[at], e[at - 1]) = (rt1, rt2, 0.0);
            l -= 2;
            continue;
        }
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let shift = (d[at - 1] - p) / (2.0 * e[at - 1]);
        let r = shift.hypot(1.0);
        let mut g = d[m] - p + e[at - 1] / (shift + r.copysign(shift));
        let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
        for i in m..at {
            let (f, b) = (s * e[i], c * e[i]);
            let r;
            (c, s, r) = plane_rotation(g, f);
            if i != m {
                e[i - 1] = r;
            }
            g = d[i] - p;
            let r = (d[i + 1] - g) * s + 2.0 * c * b;
            p = s * r;
            d[i] = g + p;
            g = c * r - b;
            rotate(z, i, c, s);
        }
        d[at] -= p;
        e[at - 1] = g;
    }
}
