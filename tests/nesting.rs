//! How deep functions nest: an `if`, `match` or loop inside four others is a function of its own. How long they are and how many
//! arguments they take is the linter's to say (clippy.toml); its own count of nesting takes modules and macros for blocks.

use std::path::Path;

use syn::visit::Visit;

const DEEPEST: usize = 4;

/// Kernels that may nest one deeper: passes over rows, columns, channels and taps, or over the stages of a network.
const KERNELS: &[(&str, &str)] = &[
    ("crates/augment/src/pixels/jpeg.rs", "code_blocks_body"),
    ("crates/augment/src/pixels/median.rs", "sorting"),
    ("crates/augment/src/pixels/normalize.rs", "write_body"),
    ("crates/augment/src/pixels/pil.rs", "resize"),
    ("crates/augment/src/simd/correlate.rs", "correlate_levels_avx2"),
];

/// Walks the functions of a file that are not tests.
#[derive(Default)]
struct Nesting {
    depth: usize,
    deepest: usize,
    found: Vec<(String, usize)>,
}

impl Nesting {
    fn function(&mut self, name: &syn::Ident, body: &syn::Block) {
        let outside = (std::mem::take(&mut self.depth), std::mem::take(&mut self.deepest));
        self.visit_block(body);
        if self.deepest > DEEPEST {
            self.found.push((name.to_string(), self.deepest));
        }
        (self.depth, self.deepest) = outside;
    }

    fn inside(&mut self, visit: impl FnOnce(&mut Self)) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        visit(self);
        self.depth -= 1;
    }
}

impl<'ast> Visit<'ast> for Nesting {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg")) {
            syn::visit::visit_item_mod(self, item);
        }
    }
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, &item.block);
    }
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig.ident, &item.block);
    }
    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig.ident, body);
        }
    }
    fn visit_expr_if(&mut self, expression: &'ast syn::ExprIf) {
        self.visit_expr(&expression.cond);
        self.inside(|inside| inside.visit_block(&expression.then_branch));
        match expression.else_branch.as_ref().map(|(_, otherwise)| otherwise.as_ref()) {
            // A chain stays where it is.
            Some(next @ syn::Expr::If(_)) => self.visit_expr(next),
            Some(otherwise) => self.inside(|inside| inside.visit_expr(otherwise)),
            None => {}
        }
    }
    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        self.visit_expr(&expression.expr);
        self.inside(|inside| expression.arms.iter().for_each(|arm| inside.visit_arm(arm)));
    }
    fn visit_expr_for_loop(&mut self, expression: &'ast syn::ExprForLoop) {
        self.visit_expr(&expression.expr);
        self.inside(|inside| inside.visit_block(&expression.body));
    }
    fn visit_expr_while(&mut self, expression: &'ast syn::ExprWhile) {
        self.visit_expr(&expression.cond);
        self.inside(|inside| inside.visit_block(&expression.body));
    }
    fn visit_expr_loop(&mut self, expression: &'ast syn::ExprLoop) {
        self.inside(|inside| inside.visit_block(&expression.body));
    }
}

fn too_deep(text: &str) -> Vec<(String, usize)> {
    let mut nesting = Nesting::default();
    nesting.visit_file(&syn::parse_file(text).expect("source parses"));
    nesting.found
}

#[test]
fn no_function_nests_deeper_than_four() {
    let mut found = String::new();
    for folder in ["bench", "crates", "orchestrator", "shard-builder", "worker"] {
        crate::architecture::walk(&system_tests::root(), Path::new(folder), &mut |path, text| {
            if path.contains("/tests/") || path.ends_with("/tests.rs") {
                return;
            }
            let kernel = |name: &str| KERNELS.contains(&(path, name));
            let others = too_deep(text).into_iter().filter(|(name, depth)| *depth > DEEPEST + 1 || !kernel(name));
            found.extend(others.map(|(name, depth)| format!("{path}: {name} nests {depth} deep\n")));
        });
    }
    assert!(found.is_empty(), "functions that nest deeper than {DEEPEST}:\n{found}");
}

#[test]
fn a_chain_counts_once_and_a_closure_not_at_all() {
    let four = "fn f() { for a in b { while c { loop { if d {} else if e {} else { g.map(|x| x) } } } } }";
    assert_eq!(too_deep(four), []);
    let five = four.replace("g.map(|x| x)", "match h { _ => i }");
    assert_eq!(too_deep(&five), [("f".to_owned(), 5)]);
    assert_eq!(too_deep(&format!("#[cfg(test)] mod tests {{ {five} }}")), []);
}
