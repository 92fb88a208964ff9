//! Numbers with their units, as people read them.

/// A number with commas between its thousands: `1,250,781`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in one unit, so that the numbers of a column compare: `40.8 MB`, of 10⁶ bytes.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Bytes in the unit that fits: `512 B`, `1.5 MB`, `5.1 GB`, in powers of 1000.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// Seconds as `42s`, `7m03s`, `2h05m`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
    }
}

/// A difference of fractions in percentage points, with its sign; one that rounds to zero has none.
pub fn points(difference: f64) -> String {
    match format!("{:+.1}", 100.0 * difference).as_str() {
        "+0.0" | "-0.0" => "0.0".to_owned(),
        signed => signed.replace('-', "−"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
        assert_eq!(["0", "999", "1,000", "1,250,781"].map(str::to_owned), [0, 999, 1000, 1_250_781].map(thousands));
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(
            [512, 1_500_000, 5_476_083_302, 3_000_000_000_000].map(bytes),
            ["512 B", "1.5 MB", "5.5 GB", "3.0 TB"]
        );
        assert_eq!(megabytes(40_800_000), "40.8 MB");
    }

    #[test]
    fn points_have_a_sign_unless_they_round_to_zero() {
        assert_eq!([0.0123, -0.0123, -0.0004].map(points), ["+1.2", "−1.2", "0.0"]);
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([42.4, 423.0, 7500.0].map(duration), ["42s", "7m03s", "2h05m"]);
    }
}
