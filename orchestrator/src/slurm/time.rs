//! Times as Slurm writes them. Pure.

/// The seconds of a time limit: minutes, `M:S`, `H:M:S`, `D-H`, `D-H:M` or `D-H:M:S`; `Some(None)` means no limit
/// (`UNLIMITED`, 0), `None` a text that Slurm would not accept.
pub(crate) fn seconds(text: &str) -> Option<Option<u64>> {
    if ["unlimited", "infinite"].contains(&text.to_ascii_lowercase().as_str()) {
        return Some(None);
    }
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(number(days)?), clock),
        None => (None, text),
    };
    let parts = clock.split(':').map(number).collect::<Option<Vec<u64>>>()?;
    // Without days the first number is minutes, and hours only where seconds are written too.
    let (hours, minutes, seconds) = match (days, parts.as_slice()) {
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    let total = days.unwrap_or(0) * 86_400 + hours * 3600 + minutes * 60 + seconds;
    Some(Some(total).filter(|total| *total > 0))
}

/// At most nine digits, so that no sum overflows.
fn number(text: &str) -> Option<u64> {
    let plain = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_slurms_times_is_read() {
        for (text, expected) in [
            ("90", 5400),
            ("1:30", 90),
            ("24:00:00", 86_400),
            ("2-0", 172_800),
            ("1-12:30", 131_400),
            ("1-00:00:01", 86_401),
        ] {
            assert_eq!(seconds(text), Some(Some(expected)), "{text}");
        }
        assert_eq!([seconds("UNLIMITED"), seconds("0")], [Some(None), Some(None)]);
        for text in ["", "2h", "1:2:3:4", "1-", "-1", "1-1:1:1:1", "1.5", "9999999999"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
