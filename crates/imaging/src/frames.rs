//! How many frames a file has that moves: APNG and WebP. Only the first is read.

/// The note on a file with several frames.
pub(crate) fn note(bytes: &[u8]) -> Option<String> {
    match frames(bytes)? {
        (count, true) if count > 1 => Some(format!("only the first of {count} frames is read")),
        (count, false) => Some(format!("only its still picture is read, not the {count} frames beside it")),
        _ => None,
    }
}

/// How many frames there are, and whether the picture that is read is the first of them.
fn frames(bytes: &[u8]) -> Option<(u32, bool)> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', rest @ ..] => png(rest),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', rest @ ..] => Some((webp(rest), true)),
        _ => None,
    }
}

/// What is said before the pixels: how many frames, and whether the picture is one of them.
fn png(mut rest: &[u8]) -> Option<(u32, bool)> {
    let (mut count, mut first) = (None, false);
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        match kind {
            b"acTL" => count = after.first_chunk::<4>().map(|count| u32::from_be_bytes(*count)),
            b"fcTL" => first = true,
            b"IDAT" => return count.map(|count| (count, first)),
            _ => {}
        }
        rest = after.get((u32::from_be_bytes(*length) as usize).checked_add(4)?..)?;
    }
}

fn webp(mut rest: &[u8]) -> u32 {
    let mut count = 0;
    while let Some((kind, after)) = rest.split_first_chunk::<4>() {
        let Some((length, after)) = after.split_first_chunk::<4>() else { break };
        count += u32::from(kind == b"ANMF");
        let length = u32::from_le_bytes(*length) as usize;
        let Some(next) = length.checked_add(length % 2).and_then(|length| after.get(length..)) else { break };
        rest = next;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_lengths_end_the_count() {
        let png = |chunks: &[u8]| [b"\x89PNG\r\n\x1a\n".as_slice(), chunks].concat();
        assert_eq!(note(&png(b"\xff\xff\xff\xffacTL\0\0\0\x05")), None);
        assert_eq!(note(&png(b"\0\0\0\0IDAT")), None);
        assert_eq!(note(b"RIFF\0\0\0\0WEBPANMF\xff\xff\xff\xff"), None);
        assert_eq!(note(b"RIFF"), None);
    }
}
