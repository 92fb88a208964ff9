//! Parts of paths inside a dataset: `/` between the folders, no `.` and no `..`.

/// A path inside a dataset without `.`, `..` and empty parts; nothing where it leads out.
pub(crate) fn inside(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// File name without folders: `a/b.png` gives `b.png`.
pub fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The ending of a file's name, in lower case and with its dot: `a/B.PNG` gives `.png`; empty for a name without a dot.
pub fn ending_of(path: &str) -> String {
    name_of(path).rsplit_once('.').map_or(String::new(), |(_, ending)| format!(".{}", ending.to_lowercase()))
}

/// File name without folders and ending: `a/b.png` gives `b`.
pub fn stem_of(path: &str) -> &str {
    let name = name_of(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The name of the folder `up` levels above the file: 1 is the folder that holds it.
pub(crate) fn folder_of(path: &str, up: u32) -> Option<&str> {
    path.rsplit('/').nth(up as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths() {
        assert_eq!(stem_of("a/b.c.png"), "b.c");
        assert_eq!(folder_of("x/y/z.png", 1), Some("y"));
        assert_eq!(folder_of("x/y/z.png", 2), Some("x"));
        assert_eq!(folder_of("x/y/z.png", 3), None);
    }
}
