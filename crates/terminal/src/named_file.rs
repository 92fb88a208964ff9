//! Files that a person names on a command line.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// The bytes of the file at `path`, which a person named as `what`, such as `sweep file`.
///
/// # Errors
/// A file that is missing or cannot be read. The error says what was expected, and for a relative path in which folder it was looked for.
pub fn read_file(what: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| named(what, path, &error))
}

/// The text of the file at `path`, as [`read_file`].
///
/// # Errors
/// As [`read_file`]; a file that is not UTF-8.
pub fn read_text(what: &str, path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| named(what, path, &error))
}

/// Refuses a file or folder at `path` that is missing, as [`read_file`] would.
///
/// # Errors
/// Nothing is there, or it cannot be looked at.
pub fn ensure_there(what: &str, path: &Path) -> Result<()> {
    std::fs::metadata(path).map(drop).map_err(|error| named(what, path, &error))
}

fn named(what: &str, path: &Path, error: &Error) -> Error {
    let shown = path.display();
    if error.kind() != ErrorKind::NotFound {
        return Error::new(error.kind(), format!("the {what} {shown} cannot be read: {error}"));
    }
    Error::new(ErrorKind::NotFound, format!("there is no {what} {shown}{}", below(path)))
}

/// Where a relative path was looked for, and what to do about one of the repository.
fn below(path: &Path) -> String {
    let Some(folder) = std::env::current_dir().ok().filter(|_| path.is_relative()) else { return String::new() };
    let of_repository = if path.starts_with("configs") || path.starts_with("docs") {
        "; to use files of the repository, run the command in its folder or write the whole path"
    } else {
        ""
    };
    format!(" in {}, the working folder{of_repository}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named_with_what_was_expected_and_where_it_was_looked_for() {
        let folder = std::env::current_dir().unwrap();
        let said = |path: &str| read_file("sweep file", Path::new(path)).unwrap_err().to_string();
        assert_eq!(said("/no/such.yaml"), "there is no sweep file /no/such.yaml");
        assert_eq!(
            said("such.yaml"),
            format!("there is no sweep file such.yaml in {}, the working folder", folder.display())
        );
        let of_repository = said("configs/sweeps/such.yaml");
        assert!(of_repository.ends_with("run the command in its folder or write the whole path"), "{of_repository}");
        assert!(said(".").starts_with("the sweep file . cannot be read: "), "{}", said("."));
    }
}
