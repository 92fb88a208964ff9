//! The training configuration that a command line names.

use std::path::Path;

use anyhow::{Result, bail};
use augment::Op;
use run_spec::config::{Pipeline, ResolvedConfig};
use run_spec::yaml::Places;

/// Reads a configuration file with `--set` changes.
pub(crate) fn read(path: &Path, sets: &[String]) -> Result<ResolvedConfig> {
    let (text, what) = (bytes(path)?, path.display().to_string());
    let config = ResolvedConfig::from_yaml(&text, &what, sets)?;
    check_transforms(&config, || Places::of(&String::from_utf8_lossy(&text), &what), sets)?;
    Ok(config)
}

/// Reads the configuration of a model that is not trained, which may fit no training.
pub(crate) fn read_untrained(path: &Path, sets: &[String]) -> Result<ResolvedConfig> {
    Ok(ResolvedConfig::untrained(&bytes(path)?, &path.display().to_string(), sets)?)
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    Ok(terminal::read_file("train config", path)?)
}

/// Refuses transforms that do not exist, with the line of the entry; `places` knows the lines of the file.
fn check_transforms(config: &ResolvedConfig, places: impl Fn() -> Places, sets: &[String]) -> Result<()> {
    let augmentation = &config.augmentation;
    if augmentation.pipeline != Pipeline::Albumentations {
        return Ok(());
    }
    for (i, entry) in augmentation.ops.iter().enumerate() {
        if let Err(error) = Op::from_config(entry) {
            let key = format!("augmentation.ops[{i}]");
            let set = sets.iter().rev().find(|set| set.starts_with("augmentation"));
            let place = set.map_or_else(|| places().at(&key), |set| format!("--set {set}"));
            bail!("{place}: `{key}`: {error}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_transform_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, "seed: 1\naugmentation:\n  ops:\n  - Blur\n  - Blurr\n").unwrap();
        let said = |sets: &[String]| read(&path, sets).unwrap_err().to_string();
        let message = "`augmentation.ops[1]`: no transform is called \"Blurr\"; did you mean \"Blur\"?";
        assert_eq!(said(&[]), format!("{} line 5: {message}", path.display()));
        let set = "augmentation.ops=[Blur, Blurr]".to_owned();
        assert_eq!(said(std::slice::from_ref(&set)), format!("--set {set}: {message}"));
    }
}
