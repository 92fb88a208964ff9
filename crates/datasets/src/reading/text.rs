//! Text files of a dataset, in the encodings that programs write them in.

use std::borrow::Cow;

/// What stands for bytes that are not of the encoding; a label with it in it is not used.
pub(crate) const UNREADABLE: char = char::REPLACEMENT_CHARACTER;

/// The text of a file: UTF-8, or UTF-16 as Windows programs write it, with a mark or told by its zeros. Bytes that are neither become
/// [`UNREADABLE`].
pub(crate) fn of(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [first, 0, second, 0, ..] if *first > 0 && *second > 0 => wide(bytes, u16::from_le_bytes),
        [0, first, 0, second, ..] if *first > 0 && *second > 0 => wide(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes),
    }
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'_, str> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(units.iter().map(|pair| unit(*pair)));
    let mut text: String = text.map(|character| character.unwrap_or(UNREADABLE)).collect();
    if !rest.is_empty() {
        text.push(UNREADABLE);
    }
    Cow::Owned(text)
}

/// Characters at the start of a web page that are enough to tell it.
const PAGE_HEAD: usize = 512;

/// The text of a file of labels.
///
/// # Errors
/// The reason for the report, where it is a web page: what a host answers with instead of a file that needs a login.
pub(crate) fn labels(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = of(bytes);
    let start: String = text.trim_start().chars().take(PAGE_HEAD).collect::<String>().to_ascii_lowercase();
    let is_page = start.starts_with('<') && ["<!doctype html", "<html"].into_iter().any(|tag| start.contains(tag));
    match is_page {
        true => Err("is a web page and not the file itself; download the file again".to_owned()),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_is_not_a_file_of_labels() {
        for page in ["<!DOCTYPE HTML><body>", "\n <html lang='en'>", "<?xml version='1.0'?>\n<!DOCTYPE html>"] {
            assert!(labels(page.as_bytes()).expect_err("a page").contains("web page"), "{page}");
        }
        assert!(labels(b"<!DOCTYPE annotation><annotation/>").is_ok() && labels(b"").is_ok());
    }

    #[test]
    fn utf_16_is_read_with_and_without_a_mark() {
        let text = "image,label\nä.png,rbc";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little[..], &[&[0xff, 0xfe], &little[..]].concat(), &big, &[&[0xfe, 0xff], &big[..]].concat()] {
            assert_eq!(of(bytes), text);
        }
        assert_eq!(of("\u{feff}a".as_bytes()), "a");
        assert_eq!(of(b"Jos\xe9"), "Jos\u{fffd}");
        assert_eq!(of(&[0xff, 0xfe, 0x41]), "\u{fffd}");
        assert_eq!(of(b""), "");
    }
}
