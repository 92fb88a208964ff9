//! Processors: the counters that Linux shows of them (RAPL), and the time that this process has had.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Counter;

/// The counter of one processor with its caches, or of its memory.
#[derive(Debug)]
pub struct Package {
    folder: PathBuf,
    /// Microjoules at which it begins again at 0.
    range: u64,
    last: u64,
    /// Microjoules of the rounds that are over.
    before: u64,
}

/// Those below `powercap` that can be read: usually root alone may.
pub fn packages(powercap: &Path) -> Vec<Package> {
    let Ok(zones) = fs::read_dir(powercap) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = zones.flatten().map(|zone| zone.path()).collect();
    folders.sort();
    folders.into_iter().filter_map(|folder| Package::of(&folder)).collect()
}

impl Package {
    fn of(folder: &Path) -> Option<Self> {
        let name = fs::read_to_string(folder.join("name")).ok()?;
        // Cores and graphics are parts of a package, and `psys` holds all packages.
        if !name.starts_with("package-") && name.trim() != "dram" {
            return None;
        }
        let (last, range) = (number(folder, "energy_uj")?, number(folder, "max_energy_range_uj")?);
        Some(Self { folder: folder.to_owned(), range, last, before: 0 })
    }
}

fn number<T: FromStr>(folder: &Path, file: &str) -> Option<T> {
    fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

impl Counter for Package {
    fn joules(&mut self) -> Option<f64> {
        let now: u64 = number(&self.folder, "energy_uj")?;
        if now < self.last {
            self.before += self.range;
        }
        self.last = now;
        Some((self.before + now) as f64 / 1e6)
    }
}

/// Seconds that cores have worked for this process; 0 where the system does not say.
pub fn cpu_seconds() -> f64 {
    // Linux has told times in hundredths of a second on every machine for decades, whatever its kernel counts in.
    const PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, the program's name in parentheses, may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut times = fields.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
    (times.next().unwrap_or(0.0) + times.next().unwrap_or(0.0)) / PER_SECOND
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes a counter as the kernel shows it.
    pub(crate) fn zone(powercap: &Path, folder: &str, name: &str, energy_uj: u64, range: u64) {
        let folder = powercap.join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let files = [("name", name.to_owned()), ("energy_uj", energy_uj.to_string())];
        for (file, text) in files.into_iter().chain([("max_energy_range_uj", range.to_string())]) {
            fs::write(folder.join(file), text + "\n").expect("a file");
        }
    }

    #[test]
    fn packages_and_memory_are_counted_and_nothing_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        for (place, name) in [
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:0:1", "dram"),
            ("intel-rapl:1", "psys"),
        ] {
            zone(folder.path(), place, name, 5_000_000, 9_000_000);
        }
        fs::create_dir(folder.path().join("intel-rapl")).expect("a folder");
        let mut found = packages(folder.path());
        assert_eq!(found.iter_mut().map(|package| package.joules()).collect::<Vec<_>>(), [Some(5.0), Some(5.0)]);
        assert!(packages(&folder.path().join("none")).is_empty());
    }

    #[test]
    fn a_counter_that_begins_again_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |energy_uj| {
            zone(folder.path(), "intel-rapl:0", "package-0", energy_uj, 9_000_000);
        };
        read(8_000_000);
        let mut package = packages(folder.path()).pop().expect("it can be read");
        read(2_000_000);
        assert_eq!(package.joules(), Some(11.0));
        read(3_000_000);
        assert_eq!(package.joules(), Some(12.0));
    }
}
