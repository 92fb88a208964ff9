//! Small datasets and the program itself, for tests.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::print_stderr, reason = "tests speak to whoever runs them")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use image::{Rgb, RgbImage};

/// A folder with `data/` (one folder per source), `sources/` (descriptions) and room for sets.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir_all(dir.path().join("data")).expect("data folder");
        std::fs::create_dir_all(dir.path().join("sources")).expect("sources folder");
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Describes a source; `rules` is YAML after the descriptive keys.
    pub(crate) fn describe(&self, name: &str, rules: &str) {
        let head = format!(
            "name: {name}\ntitle: T\nhome: H\nlicence: MIT\ncitation: C\nmodality: M\nmembership: candidate\n{rules}\n"
        );
        std::fs::write(self.path(&format!("sources/{name}.yaml")), head).expect("description");
        std::fs::create_dir_all(self.path(&format!("data/{name}"))).expect("source folder");
    }

    pub(crate) fn write(&self, source: &str, file: &str, bytes: &[u8]) {
        let path = self.path(&format!("data/{source}/{file}"));
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(path, bytes).expect("file");
    }

    /// Saves a picture in the format that the file name says.
    pub(crate) fn save(&self, source: &str, file: &str, image: &RgbImage) {
        let path = self.path(&format!("data/{source}/{file}"));
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        image.save(path).expect("image");
    }

    /// Starts `build` of all described sources into `out`.
    pub(crate) fn build(&self, out: &str, more: &[&str]) -> Output {
        let run = self.command(out, more).output().expect("shard-builder starts");
        if !run.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&run.stderr));
        }
        run
    }

    pub(crate) fn spawn(&self, out: &str, more: &[&str]) -> Child {
        self.command(out, more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("shard-builder starts")
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = program();
        command.arg("build").arg(self.path("sources")).arg("--data").arg(self.path("data"));
        command.arg("--out").arg(self.path(out)).args(more);
        // Pictures here are lattices, which lie over each other well: they are copies only where a test says so.
        if !more.contains(&"--near-copies") {
            command.args(["--near-copies", "ignore"]);
        }
        command
    }

    /// All files of a set with their bytes.
    pub(crate) fn files(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let root = self.path(out);
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    let name = path.strip_prefix(&root).expect("inside").to_str().expect("UTF-8").to_owned();
                    files.insert(name, bytes);
                }
            }
        }
        files
    }

    pub(crate) fn open(&self, out: &str) -> shards::ShardSet {
        open(&self.path(out))
    }

    /// The report of images: path of the source and image → the columns by name.
    pub(crate) fn images(&self, out: &str) -> Vec<BTreeMap<String, String>> {
        report(&self.path(out), "report/images-")
    }

    pub(crate) fn labels(&self, out: &str) -> Vec<BTreeMap<String, String>> {
        report(&self.path(out), "report/labels-")
    }
}

pub(crate) fn open(dir: &Path) -> shards::ShardSet {
    let store = store::Store::open(dir.to_str().expect("UTF-8")).expect("store");
    shards::ShardSet::open(&store).expect("a shard set")
}

pub(crate) fn report(dir: &Path, prefix: &str) -> Vec<BTreeMap<String, String>> {
    let store = store::Store::open(dir.to_str().expect("UTF-8")).expect("store");
    let keys = store.list("report").expect("list");
    let key = keys.iter().find(|key| key.contains(prefix)).expect("a report").clone();
    let bytes = store.get(&key).expect("report");
    let mut reader = csv::Reader::from_reader(bytes.as_ref());
    let header = reader.headers().expect("header").clone();
    reader
        .records()
        .map(|record| {
            let record = record.expect("record");
            header.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect()
        })
        .collect()
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shard-builder"));
    command.env_remove("RUST_LOG");
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("shard-builder starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A picture that differs with `seed` and has more than one colour.
pub(crate) fn picture(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let mixed = (x ^ seed).wrapping_mul(2_654_435_761).wrapping_add(y.wrapping_mul(40_503).wrapping_mul(seed + 1));
        let noise = (mixed >> 27) as u8;
        Rgb([(x + 3 * seed) as u8 / 2 + noise, (y + 5 * seed) as u8 / 2 + noise, 100 + noise])
    })
}

/// The folder with real data; where it is missing the test says so loudly, or fails if it may not be missing.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace");
    let shared = std::env::var_os("REDDINO_SHARED").map_or_else(|| workspace.join("../shared"), PathBuf::from);
    let data = shared.join("data");
    if data.is_dir() {
        return Some(data);
    }
    let required = std::env::var("REDDINO_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == "shared-data"),
        "{} is missing and REDDINO_REQUIRE names shared-data",
        data.display()
    );
    eprintln!("SKIPPED: no real data in {}", data.display());
    None
}

/// Whether a file of a set is a shard, by its name.
pub(crate) fn is_shard(name: &str) -> bool {
    name.starts_with("shards/") && name.ends_with(".parquet")
}

/// Says a measured figure to whoever runs the tests with `--nocapture`.
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}
