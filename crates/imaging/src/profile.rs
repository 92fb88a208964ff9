//! What an embedded colour profile calls itself. It is named in the report and not applied: the published method takes the
//! numbers as they are.

/// Longest name of a profile that is shown, in characters.
const LONGEST: usize = 60;

/// The description of an ICC profile (ICC.1, tag `desc`), as far as it can be read; any bytes may come.
pub(crate) fn name(profile: &[u8]) -> Option<String> {
    let number = |at: usize| Some(u32::from_be_bytes(profile.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize);
    // A count, then entries of signature, offset and size.
    let entry = (0..number(128)?.min(100)).map(|entry| 132 + 12 * entry);
    let entry = entry.into_iter().find(|&at| profile.get(at..at + 4) == Some(b"desc"))?;
    let (start, size) = (number(entry + 4)?, number(entry + 8)?);
    let tag = profile.get(start..start.checked_add(size)?)?;
    let text: String = match tag.get(..4)? {
        // Before version 4: a length and ASCII.
        b"desc" => {
            let length = u32::from_be_bytes(tag.get(8..12)?.try_into().ok()?) as usize;
            tag.get(12..12_usize.checked_add(length)?)?.iter().map(|byte| char::from(*byte)).collect()
        }
        // Since: records of language, length and offset, and UTF-16; the first will do.
        b"mluc" => {
            let at = |place: usize| Some(u32::from_be_bytes(tag.get(place..place + 4)?.try_into().ok()?) as usize);
            let (length, offset) = (at(20)?, at(24)?);
            let units = tag.get(offset..offset.checked_add(length)?)?.as_chunks::<2>().0;
            char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit))).map(|c| c.unwrap_or('?')).collect()
        }
        _ => return None,
    };
    let told: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    Some(told.trim().to_owned()).filter(|told| !told.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A profile with nothing but a description.
    fn profile(tag: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        for number in [1, u32::from_be_bytes(*b"desc"), 144, tag.len() as u32] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(tag);
        bytes
    }

    #[test]
    fn names_of_both_versions_are_read_and_damage_is_none() {
        let old = profile(b"desc\0\0\0\0\0\0\0\x05sRGB\0");
        let new = profile(b"mluc\0\0\0\0\0\0\0\x01\0\0\0\x0cenUS\0\0\0\x08\0\0\0\x1c\0s\0R\0G\0B");
        assert_eq!(name(&old).as_deref(), Some("sRGB"));
        assert_eq!(name(&new).as_deref(), Some("sRGB"));
        for end in 0..old.len() {
            assert_eq!(name(&old[..end]), None, "{end}");
        }
        let mut wild = old.clone();
        wild[136..144].fill(0xff);
        assert_eq!(name(&wild), None);
    }
}
