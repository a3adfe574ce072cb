//! Folders are layers: a file imports only from its own layer and those below it.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};

/// The layers of the library, from the bottom: each may import those before it.
const LAYERS: [&str; 10] = [
    "base", "facts", "event", "evtx", "input", "scan", "machine", "conclude", "report", "explain",
];

/// The files of the library by their modules, without `lib.rs`.
fn files(folder: &Path, module: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = match module {
            "" => stem.to_owned(),
            _ => format!("{module}::{stem}"),
        };
        if path.is_dir() {
            self::files(&path, &name, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    // The program is another crate, which sees what the library makes public.
    files.retain(|name, _| !matches!(name.split("::").next(), Some("lib" | "main" | "cli")));
}

/// The paths that a file names, each as its parts.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn of(source: &str) -> Vec<Vec<String>> {
        let mut paths = Paths::default();
        paths.visit_file(&syn::parse_file(source).unwrap());
        paths.0
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Rename(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Glob(_) => self.0.push(before.to_vec()),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(item, before));
            }
        }
    }

    /// Paths inside a macro, which are not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 || path.is_empty() => {
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.0.push(std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.0.push(path);
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let is_test = |meta: &syn::MetaList| meta.tokens.to_string() == "test";
    let mut lists = attributes
        .iter()
        .filter_map(|of| of.meta.require_list().ok());
    lists.any(|list| list.path.is_ident("cfg") && is_test(list))
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts = path.segments.iter().map(|part| part.ident.to_string());
        self.0.push(parts.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
    }
}

/// The file that a path in the file of a module leads to.
fn target(path: &[String], module: &str, files: &BTreeMap<String, String>) -> Option<String> {
    let own: Vec<String> = module.split("::").map(str::to_owned).collect();
    let first = path.first()?.as_str();
    let supers = path.iter().take_while(|part| *part == "super").count();
    let whole: Vec<String> = match first {
        "crate" => path[1..].to_vec(),
        "super" => [&own[..own.len().checked_sub(supers)?], &path[supers..]].concat(),
        "self" => [&own[..], &path[1..]].concat(),
        // A child of this file.
        _ if files.contains_key(&format!("{module}::{first}")) => [&own[..], path].concat(),
        _ => return None,
    };
    let prefixes = (1..=whole.len()).rev().map(|end| whole[..end].join("::"));
    let found = prefixes
        .into_iter()
        .find(|prefix| files.contains_key(prefix));
    found.filter(|found| found != module)
}

fn layer(module: &str) -> Option<usize> {
    let folder = module.split("::").next()?;
    LAYERS.iter().position(|layer| *layer == folder)
}

/// What is wrong with the imports of these files.
fn faults(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (module, source) in files {
        let Some(own) = layer(module) else {
            faults.push(format!("{module} belongs to no layer"));
            continue;
        };
        for path in Paths::of(source) {
            let Some(to) = target(&path, module, files) else {
                continue;
            };
            if layer(&to).is_some_and(|other| other > own) {
                faults.push(format!(
                    "{module} imports {}, which is above it",
                    path.join("::")
                ));
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

fn library() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    files(Path::new("src"), "", &mut found);
    assert!(found.len() > 50);
    found
}

#[test]
fn each_file_imports_only_layers_below_it() {
    assert_eq!(faults(&library()), [""; 0]);
}

#[test]
fn an_import_of_a_layer_above_is_found_wherever_it_stands() {
    for planted in [
        "use crate::report::Report;",
        "use super::report::{text::Options};",
        "pub(crate) use crate::scan::Counts as Sums;",
        "fn f() { use crate::conclude::window; }",
        "fn f() -> crate::machine::Machine { loop {} }",
        "fn f() { crate::explain::write_text(); }",
        "fn f() { let _ = format!(\"{}\", crate::machine::x::Y); }",
    ] {
        let mut files = library();
        files.get_mut("event").unwrap().push_str(planted);
        let faults = faults(&files);
        assert_eq!(faults.len(), 1, "{planted}: {faults:?}");
        assert!(faults[0].contains("which is above it"), "{planted}");
    }
    // Tests may use everything.
    let mut files = library();
    let test = "#[cfg(test)] mod more_tests { use crate::report::Report; }";
    files.get_mut("event").unwrap().push_str(test);
    assert_eq!(faults(&files), [""; 0]);
}
