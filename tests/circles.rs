//! Circles of imports inside each crate, found in its source.
//!
//! Two modules are in a circle where each needs the other, directly or through others. A module that uses what its own parent
//! declares is left out of the count: a parent and its children are one idea in several files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::Visit;

/// Circles that may stay, each with its reason.
const HARMLESS: &[(&str, &[&str], &str)] = &[
    ("collective", &["mpi::calls", "mpi::jobs"], "a call and the queue of its jobs are one idea in two files"),
    (
        "orchestrator",
        &["sweep_file", "sweep_file::arms", "sweep_file::grid", "sweep_file::released", "trial_filter"],
        "the file checks its own globs",
    ),
    ("results", &["predictions::metadata", "predictions::rows"], "what a file says of itself is what all its rows say"),
    (
        "results",
        &["table::compare", "table::evaluated", "table::line", "table::published"],
        "published scores are lines of a comparison, and a line's name says that it is published",
    ),
    (
        "results",
        &["stats::estimate", "stats::power", "stats::verdict"],
        "an estimate, its verdict and its power name one another",
    ),
    (
        "run-spec",
        &["config::recorded", "config::resolved"],
        "a recorded configuration resolves, a resolved one is recorded",
    ),
    (
        "run-spec",
        &["layer", "typed", "yaml", "yaml::kind", "yaml::places", "yaml::words"],
        "they share the error of a configuration",
    ),
    ("segmentation", &["masks::npy", "masks::pickle"], "a `.npy` file may hold a pickle, which may hold an array"),
    (
        "shards",
        &["columns", "layout", "manifest", "writer"],
        "the columns, the keys, the list and the writer of one set",
    ),
    (
        "store",
        &["cloud", "endpoint", "error", "key", "open", "patience", "record", "store", "uri"],
        "an error names the store's address, and the store returns errors",
    ),
    ("torch-shim", &["device", "ffi", "stream"], "declarations of C++ name the types they take"),
    (
        "worker",
        &[
            "baselines",
            "baselines::histogram",
            "baselines::random",
            "baselines::shape",
            "cli",
            "cli::scoring",
            "features",
            "released",
        ],
        "the options of the command line follow from the list of baselines",
    ),
];

/// A module's path in its crate: empty for the root.
type Module = Vec<String>;

/// What one source file says about other modules.
#[derive(Default)]
struct Source {
    /// Paths it names, in imports and elsewhere, as they are written.
    paths: Vec<Vec<String>>,
    /// Names that it hands on from elsewhere, with the path they come from; `*` for all of them.
    handed_on: Vec<(String, Vec<String>)>,
}

impl Source {
    fn import(&mut self, tree: &syn::UseTree, before: &[String], public: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &with(&path.ident), public),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before, public)),
            syn::UseTree::Name(name) => self.leaf(name.ident.to_string(), with(&name.ident), public),
            syn::UseTree::Rename(name) => self.leaf(name.rename.to_string(), with(&name.ident), public),
            syn::UseTree::Glob(_) => self.leaf("*".to_owned(), before.to_vec(), public),
        }
    }

    fn leaf(&mut self, name: String, path: Vec<String>, public: bool) {
        if public {
            self.handed_on.push((name, path.clone()));
        }
        self.paths.push(path);
    }
}

fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|flag| flag == "test"))
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        self.import(&item.tree, &[], public);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}

/// All modules of the crate at `src`. Files that only tests use, by their declaration, are left out.
fn modules(src: &Path) -> BTreeMap<Module, Source> {
    let mut found = BTreeMap::new();
    let root = ["lib.rs", "main.rs"].into_iter().map(|name| src.join(name)).find(|path| path.is_file());
    read(&root.expect("a crate has lib.rs or main.rs"), src, Vec::new(), &mut found);
    found
}

fn read(file: &Path, folder: &Path, module: Module, found: &mut BTreeMap<Module, Source>) {
    let text = std::fs::read_to_string(file).expect("source is text");
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut source = Source::default();
    source.visit_file(&parsed);
    for item in &parsed.items {
        let syn::Item::Mod(child) = item else { continue };
        if child.content.is_some() || for_tests(&child.attrs) {
            continue;
        }
        let name = child.ident.to_string();
        let inside = folder.join(&name);
        let file = [folder.join(format!("{name}.rs")), inside.join("mod.rs")].into_iter().find(|path| path.is_file());
        let path = [module.clone(), vec![name]].concat();
        read(&file.expect("a declared module has a file"), &inside, path, found);
    }
    found.insert(module, source);
}

/// The module that a path written in `from` leads to, through names that modules hand on; none if it leaves the crate.
fn target(modules: &BTreeMap<Module, Source>, from: &[String], path: &[String], depth: usize) -> Option<Module> {
    let mut at = match path[0].as_str() {
        "crate" => Vec::new(),
        "self" => from.to_vec(),
        "super" => from[..from.len().checked_sub(1)?].to_vec(),
        first => {
            let child = [from, &[first.to_owned()]].concat();
            modules.contains_key(&child).then_some(child)?
        }
    };
    for (place, name) in path.iter().enumerate().skip(1) {
        if name == "super" {
            at.pop();
            continue;
        }
        let child = [at.clone(), vec![name.clone()]].concat();
        if modules.contains_key(&child) {
            at = child;
            continue;
        }
        let source = &modules[&at];
        let named = source.handed_on.iter().find(|(handed, _)| handed == name);
        if let (Some((_, origin)), true) = (named, depth < 8) {
            let rest = [origin.clone(), path[place + 1..].to_vec()].concat();
            return target(modules, &at, &rest, depth + 1).or(Some(at));
        }
        return Some(at);
    }
    Some(at)
}

/// Which modules each module needs, without its own ancestors.
fn needs(modules: &BTreeMap<Module, Source>) -> BTreeMap<Module, BTreeSet<Module>> {
    let of = |(module, source): (&Module, &Source)| {
        let targets = source.paths.iter().filter_map(|path| target(modules, module, path, 0));
        (module.clone(), targets.filter(|target| !module.starts_with(target)).collect())
    };
    modules.iter().map(of).collect()
}

/// Everything that `from` reaches in one step or more.
fn reached(needs: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = needs[from].iter().collect();
    while let Some(module) = open.pop() {
        if seen.insert(module.clone()) {
            open.extend(&needs[module]);
        }
    }
    seen
}

/// Groups of modules that all need one another.
fn circles(src: &Path) -> BTreeSet<BTreeSet<String>> {
    let needs = needs(&modules(src));
    let reach: BTreeMap<&Module, BTreeSet<Module>> = needs.keys().map(|m| (m, reached(&needs, m))).collect();
    let in_circle = needs.keys().filter(|module| reach[module].contains(*module));
    let mutual = |module: &&Module| {
        let others = reach[module].iter().filter(|other| reach[other].contains(*module));
        others.map(|module| module.join("::")).collect()
    };
    in_circle.collect::<Vec<_>>().iter().map(mutual).collect()
}

#[test]
fn no_module_circles_but_the_harmless() {
    let root = system_tests::root();
    let mut crates: Vec<_> =
        std::fs::read_dir(root.join("crates")).expect("crates").flatten().map(|e| e.path()).collect();
    crates.extend(["orchestrator", "shard-builder", "worker"].map(|name| root.join(name)));
    crates.sort();
    let mut found = BTreeSet::new();
    for folder in &crates {
        let name = folder.file_name().expect("a crate's folder").to_string_lossy().into_owned();
        found.extend(circles(&folder.join("src")).into_iter().map(|circle| (name.clone(), circle)));
    }
    let allowed = HARMLESS.iter().map(|(name, circle, _)| {
        ((*name).to_owned(), circle.iter().map(|module| (*module).to_owned()).collect::<BTreeSet<_>>())
    });
    let allowed: BTreeSet<_> = allowed.collect();
    let list = |circles: Vec<&(String, BTreeSet<String>)>| {
        circles.iter().map(|(name, circle)| format!("{name} ({}): {circle:?}\n", circle.len())).collect::<String>()
    };
    let (new, gone) = (list(found.difference(&allowed).collect()), list(allowed.difference(&found).collect()));
    assert!(new.is_empty(), "circles of imports that no list allows:\n{new}");
    assert!(gone.is_empty(), "circles that are no longer there; take them off the list:\n{gone}");
}

#[test]
fn a_circle_is_found_through_names_that_are_handed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("lib.rs", "mod a; mod b; mod c; pub use b::Thing; #[cfg(test)] mod tests;");
    write("a.rs", "use crate::Thing; pub struct Other;");
    write("b.rs", "pub struct Thing; fn f() { super::a::Other; }");
    write("c.rs", "use crate::a::Other;");
    let circle = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    assert_eq!(circles(folder.path()), BTreeSet::from([circle]));
}
