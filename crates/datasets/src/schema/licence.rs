//! Which licences let anyone use, change and pass on what they cover, commercially too, asking for credit at most.

/// Whether a licence, as a description writes it, is permissive. One that is not known to be is not.
pub fn is_permissive(licence: &str) -> bool {
    // `CC BY 4.0 (images)` is read as far as the bracket, `CC-BY-4.0` and `CC BY 4.0` as the same.
    let name = licence.split('(').next().unwrap_or_default().trim().to_lowercase().replace([' ', '_'], "-");
    const NAMES: [&str; 9] =
        ["mit", "mit-0", "isc", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "0bsd", "unlicense", "public-domain"];
    let cc = |rest: &str| {
        rest.is_empty() || rest.starts_with('-') && rest[1..].chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    NAMES.contains(&name.as_str())
        || name.strip_prefix("cc0").is_some_and(cc)
        || name.strip_prefix("cc-by").is_some_and(cc)
}

#[cfg(test)]
mod tests {
    use super::is_permissive;

    #[test]
    fn only_licences_without_strings_pass() {
        for yes in ["MIT", "CC BY 4.0", "CC-BY-4.0", "CC0", "CC0 1.0", "Apache-2.0", "CC BY 4.0 (the images)"] {
            assert!(is_permissive(yes), "{yes}");
        }
        for no in [
            "GPL-3.0",
            "CC BY-NC-SA 3.0 (non-commercial)",
            "CC BY-SA 4.0",
            "CC BY-ND 4.0",
            "unknown",
            "",
            "MIT or ask",
            "CC BY or not",
        ] {
            assert!(!is_permissive(no), "{no}");
        }
    }
}
