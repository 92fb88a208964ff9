//! Recognises files that this crate does not read, by content alone, and says how to convert each kind.

use crate::error::{DecodeError, Problem};

/// Bytes at the start of a file that are enough to tell its format.
pub const HEAD: usize = 192;

/// What a file is that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Name of the format as people know it: `HEIC`, `DICOM`, …
    pub(crate) name: &'static str,
    /// Whether it holds a picture.
    pub(crate) picture: bool,
    /// What the user can do.
    pub(crate) remedy: &'static str,
}

const CONVERT: &str = "convert it to PNG";
const EXPORT: &str = "export its fields of view as PNG or TIFF (QuPath, OpenSlide or the maker's program do that)";
const FETCH: &str = "fetch the file itself with `git lfs pull`";
const GET: &str = "fetch the file itself with `git annex get`";

/// What the file with these first bytes is, if it is a known kind.
pub(crate) fn told(head: &[u8]) -> Option<Foreign> {
    let at = |place: usize, magic: &[u8]| head.get(place..).is_some_and(|rest| rest.starts_with(magic));
    let picture = |name, remedy| Some(Foreign { name, picture: true, remedy });
    let other = |name, remedy| Some(Foreign { name, picture: false, remedy });
    if let Some((name, remedy)) = pointer_kind(head) {
        return other(name, remedy);
    }
    if at(4, b"ftyp") {
        let brand = head.get(8..12).unwrap_or_default();
        return match brand {
            b"avif" | b"avis" => picture("an AVIF image", CONVERT),
            b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => {
                picture("a HEIC image", CONVERT)
            }
            _ => other("a video or another MP4 file", "save the wanted frames as PNG"),
        };
    }
    let known: [(usize, &[u8], Option<Foreign>); 16] = [
        (0, b"\0\0\0\x0cjP  \r\n\x87\n", picture("a JPEG 2000 image", CONVERT)),
        (0, b"\xff\x4f\xff\x51", picture("a JPEG 2000 image", CONVERT)),
        (0, b"\0\0\0\x0cJXL ", picture("a JPEG XL image", CONVERT)),
        (0, b"\xff\x0a", picture("a JPEG XL image", CONVERT)),
        (128, b"DICM", picture("a DICOM file", EXPORT)),
        (0, b"ZISRAWFILE", picture("a CZI file of Zeiss", EXPORT)),
        (0, b"\xda\xce\xbe\x0a", picture("an ND2 file of Nikon", EXPORT)),
        (
            0,
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            other("an OLE file (OIB of Olympus, or of an office program)", EXPORT),
        ),
        (0, b"\x89HDF\r\n\x1a\n", other("an HDF5 file", EXPORT)),
        (0, b"8BPS", picture("a Photoshop file", CONVERT)),
        (0, b"%PDF", other("a PDF", "extract its images as PNG")),
        (0, b"PK\x03\x04", other("a zip archive", "unpack it, or name the archive as the source's folder")),
        (0, b"\x1f\x8b", other("a gzip file", "unpack it")),
        (0, b"\x93NUMPY", other("a NumPy array", "save it as PNG or TIFF")),
        (0, b"<!DOCTYPE", other("a web page, not a file", "download the file again")),
        (0, b"<html", other("a web page, not a file", "download the file again")),
    ];
    let leica = at(0, b"\x70\0\0\0") && at(8, b"\x2a");
    let known = known.into_iter().find(|(place, magic, _)| at(*place, magic)).and_then(|(_, _, foreign)| foreign);
    known.or_else(|| if leica { picture("a LIF file of Leica", EXPORT) } else { None })
}

/// Name and remedy of the text that Git LFS or git-annex keeps in place of a large file.
fn pointer_kind(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(("a Git LFS pointer and not the file itself", FETCH));
    }
    // As a file it is `/annex/objects/KEY`; copied without links, it may be the path that a link led to.
    let annexed = bytes.starts_with(b"/annex/objects/")
        || (bytes.starts_with(b"../") || bytes.starts_with(b".git/"))
            && bytes.windows(19).take(256).any(|part| part == b".git/annex/objects/");
    annexed.then_some(("a git-annex pointer and not the file itself", GET))
}

/// Why a file is not what it is named, if Git LFS or git-annex keeps a pointer in its place.
pub fn pointer(bytes: &[u8]) -> Option<DecodeError> {
    pointer_kind(bytes).map(|(name, remedy)| DecodeError::Foreign { name, remedy })
}

/// What the compression of a TIFF is called, if it is one that is not read.
pub(crate) fn compression(number: u16) -> Option<String> {
    let name = match number {
        1 | 4 | 5 | 7 | 8 | 32_773 | 32_946 | 50_000 | 50_001 => return None,
        2 | 3 => "fax data",
        6 => "JPEG of the old style",
        33_003 | 33_005 => "JPEG 2000, as in SVS slides",
        33_007 | 34_892 => "lossy JPEG of another kind",
        34_712 => "JPEG 2000",
        22_610 | 34_934 => "JPEG XR, as in NDPI slides",
        34_887 => "LERC",
        34_925 => "LZMA",
        34_676 | 34_677 => "LogLuv",
        34_933 => "PNG",
        50_002 | 52_546 => "JPEG XL",
        other => return Some(format!("method {other}")),
    };
    Some(name.to_owned())
}

/// The problem of a page that is compressed in a way that is not read.
pub(crate) fn compressed(name: &str) -> Problem {
    Problem::unsupported(format!("its pixels are compressed as {name}, which is not read"), EXPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_apart_and_texts_are_none() {
        for (bytes, remedy) in [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n".as_slice(), Some("git lfs pull")),
            (b"/annex/objects/SHA256E-s31390--f50d7ac4.png\n", Some("git annex get")),
            (b"../.git/annex/objects/Pq/kG/MD5E-s7--c1.png/MD5E-s7--c1.png", Some("git annex get")),
            (b"image,label\n/annex/objects/a.png,rbc\n", None),
            (b"", None),
        ] {
            let said = pointer(bytes).map(|error| error.to_string());
            assert_eq!(said.is_some(), remedy.is_some(), "{said:?}");
            assert!(remedy.is_none_or(|remedy| said.unwrap_or_default().contains(remedy)));
            assert_eq!(told(bytes).is_some(), remedy.is_some());
        }
    }

    #[test]
    fn files_of_other_kinds_are_told_apart_by_content() {
        let dicom = [vec![0; 128], b"DICM".to_vec()].concat();
        for (head, name) in [
            (b"\0\0\0\x18ftypheic\0\0\0\0".as_slice(), "HEIC"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0", "HEIC"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
            (b"\0\0\0\x1cftypisom\0\0\0\0", "video"),
            (b"\0\0\0\x0cjP  \r\n\x87\n\0\0", "JPEG 2000"),
            (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000"),
            (&dicom, "DICOM"),
            (b"ZISRAWFILE\0\0\0\0", "CZI"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "git lfs pull"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"\x70\0\0\0\x10\0\0\0\x2a", "LIF"),
        ] {
            let told = told(head).unwrap_or_else(|| panic!("{name} is known"));
            assert!(format!("{}; {}", told.name, told.remedy).contains(name), "{told:?}");
        }
        assert_eq!(told(b"1 2 rbc\n"), None);
        assert_eq!(told(b""), None);
    }

    #[test]
    fn a_pointer_in_place_of_a_file_says_how_to_fetch_it() {
        let text = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert!(pointer(text).is_some_and(|error| error.to_string().contains("git lfs pull")));
        assert_eq!(pointer(b"version 5"), None);
    }

    #[test]
    fn compressions_of_slides_are_named() {
        assert!(compression(33_005).is_some_and(|name| name.contains("SVS")));
        assert!(compression(22_610).is_some_and(|name| name.contains("NDPI")));
        assert_eq!(compression(65_000).as_deref(), Some("method 65000"));
        assert_eq!(compression(7), None);
    }
}
