//! Packages to files, and the tree of modules that includes them.
//!
//! A package is a module, and so is a message that has others inside. Where both have one name (message `A` beside
//! package `x.a`), prost's module takes the package in, since Rust has no two modules of one name.

use std::collections::{BTreeMap, HashMap};

use syn::Item;
use syn::spanned::Spanned as _;

use crate::emit::{Files, HEADER};
use crate::error::Error;
use crate::format;

/// The file that includes all others.
pub(crate) const ROOT: &str = "wireloom.rs";

/// Texts by the path of the module that they are the inside of.
pub(crate) type Modules = BTreeMap<Vec<String>, String>;

/// What generated code need not obey.
///
/// Names, comments and sizes are the proto's; the rest asks for a taste in code that nobody writes. It stands on
/// modules, since an included file cannot say it of itself.
const ALLOW: &str = "#[allow(\
    dead_code, deprecated, missing_docs, unreachable_pub, \
    clippy::doc_lazy_continuation, clippy::doc_overindented_list_items, clippy::enum_variant_names, \
    clippy::large_enum_variant, clippy::match_single_binding, clippy::module_inception, \
    clippy::wrong_self_convention, \
    clippy::nursery, clippy::pedantic, clippy::restriction)]";

/// The file of a module, named as prost does, but for the one package whose file would be the root.
pub(crate) fn file_name(path: &[String]) -> String {
    match path {
        [] => "_.rs".to_owned(),
        [only] if only == "wireloom" => "wireloom_.rs".to_owned(),
        path => format!("{}.rs", path.join(".")),
    }
}

/// Makes a file of each module, and the one that includes them.
///
/// # Errors
///
/// If two items of one module have the same name, which can only be a message's module and a package's that meet; or
/// two modules have one file.
pub(crate) fn files(modules: Modules) -> Result<Files, Error> {
    let mut parsed = Vec::new();
    for (path, text) in modules {
        let file = format::parse(&file_name(&path), &text)?;
        parsed.push(Parsed {
            path,
            text,
            items: file.items,
        });
    }

    let mut root = Node::default();
    for (index, file) in parsed.iter().enumerate() {
        root.at(&file.path).file = Some(index);
    }
    let mut tree = Tree {
        files: &parsed,
        insertions: HashMap::new(),
    };
    let includes = tree.inside(&root, &[], &[])?;
    let insertions = tree.insertions;

    let mut files = Files::new();
    for (index, file) in parsed.iter().enumerate() {
        let mut inserted = insertions.get(&index).cloned().unwrap_or_default();
        if file.path.is_empty() {
            inserted.extend(file.items.iter().map(allow));
        }
        let text = format!("{HEADER}\n{}", insert(&file.text, inserted));
        add(&mut files, file_name(&file.path), text)?;
    }
    add(&mut files, ROOT.to_owned(), format!("{HEADER}\n{includes}"))?;
    Ok(files)
}

/// Adds a file, unless one of its name is there: either's code would be lost.
fn add(files: &mut Files, name: String, text: String) -> Result<(), Error> {
    if files.contains_key(&name) {
        return Err(Error::new(format!(
            "two packages would be written to one file, `{name}`"
        ))
        .with_help("rename one of them"));
    }
    files.insert(name, text);
    Ok(())
}

/// The text of a module.
struct Parsed {
    path: Vec<String>,
    text: String,
    items: Vec<Item>,
}

/// A module: that of a package, or of a part of one's name.
#[derive(Default)]
struct Node {
    file: Option<usize>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn at(&mut self, path: &[String]) -> &mut Node {
        path.iter().fold(self, |node, name| {
            node.children.entry(name.clone()).or_default()
        })
    }
}

/// Items of a file that are in some module.
#[derive(Clone, Copy)]
struct Scope<'a> {
    file: usize,
    items: &'a [Item],
    /// Where its closing brace is.
    end: usize,
}

struct Tree<'a> {
    files: &'a [Parsed],
    /// Texts to insert into files, by the byte that they go before.
    insertions: HashMap<usize, Vec<(usize, String)>>,
}

impl<'a> Tree<'a> {
    /// What goes inside a module that other files may have begun.
    fn inside(&mut self, node: &Node, path: &[&str], begun: &[Scope<'a>]) -> Result<String, Error> {
        let mut scopes = begun.to_vec();
        let mut text = String::new();
        if let Some(file) = node.file {
            let Parsed {
                path,
                items,
                text: of_file,
            } = &self.files[file];
            scopes.push(Scope {
                file,
                items,
                end: of_file.len(),
            });
            text.push_str(&format!("include!(\"{}\");\n", file_name(path)));
        }
        self.check_names(path, &scopes)?;

        for (name, child) in &node.children {
            let begun: Vec<Scope> = scopes
                .iter()
                .filter_map(|scope| module(scope, name))
                .collect();
            let path = [path, &[name]].concat();
            let inside = self.inside(child, &path, &begun)?;
            match begun.first() {
                Some(scope) => {
                    self.insertions
                        .entry(scope.file)
                        .or_default()
                        .push((scope.end, format!("\n{inside}")));
                }
                None => {
                    let allow = if path.len() == 1 { ALLOW } else { "" };
                    text.push_str(&format!("{allow}\npub mod {name} {{\n{inside}}}\n"));
                }
            }
        }
        Ok(text)
    }

    fn check_names(&self, path: &[&str], scopes: &[Scope<'a>]) -> Result<(), Error> {
        let mut seen = HashMap::new();
        for scope in scopes {
            for (namespace, name) in scope.items.iter().flat_map(names) {
                let Some(other) = seen.insert((namespace, name.clone()), scope.file) else {
                    continue;
                };
                let module = if path.is_empty() {
                    "the root module".to_owned()
                } else {
                    format!("module `{}`", path.join("::"))
                };
                let [one, two] = [other, scope.file].map(|file| package(&self.files[file].path));
                return Err(Error::new(format!(
                    "two items are named `{name}` in {module}: one of {one}, one of {two}"
                ))
                .with_help("rename one of them, or the package: a message's nested types and a package of the same name share one Rust module"));
            }
        }
        Ok(())
    }
}

fn package(path: &[String]) -> String {
    match path {
        [] => "the files without a package".to_owned(),
        path => format!("package `{}`", path.join(".")),
    }
}

/// The inside of the module of a name, if a scope has one.
fn module<'a>(scope: &Scope<'a>, name: &str) -> Option<Scope<'a>> {
    scope.items.iter().find_map(|item| match item {
        Item::Mod(module) if module.ident == name => {
            let (brace, items) = module.content.as_ref()?;
            let end = brace.span.close().byte_range().start;
            Some(Scope {
                file: scope.file,
                items,
                end,
            })
        }
        _ => None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Namespace {
    Type,
    Value,
}

/// The names that an item takes.
fn names(item: &Item) -> Vec<(Namespace, String)> {
    let (namespaces, ident): (&[Namespace], _) = match item {
        Item::Struct(item) => (&[Namespace::Type], &item.ident),
        Item::Enum(item) => (&[Namespace::Type], &item.ident),
        Item::Mod(item) => (&[Namespace::Type], &item.ident),
        Item::Trait(item) => (&[Namespace::Type], &item.ident),
        Item::Type(item) => (&[Namespace::Type], &item.ident),
        Item::Static(item) => (&[Namespace::Value], &item.ident),
        Item::Fn(item) => (&[Namespace::Value], &item.sig.ident),
        Item::Const(item) if item.ident != "_" => (&[Namespace::Value], &item.ident),
        _ => return Vec::new(),
    };
    namespaces
        .iter()
        .map(|namespace| (*namespace, ident.to_string()))
        .collect()
}

/// The lints to allow on an item that is in no module of ours, and where to say so: below its docs.
fn allow(item: &Item) -> (usize, String) {
    let attributes = match item {
        Item::Struct(item) => &item.attrs[..],
        Item::Enum(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        _ => &[],
    };
    let docs = attributes
        .iter()
        .take_while(|attribute| attribute.path().is_ident("doc"));
    match docs.last() {
        Some(last) => (last.span().byte_range().end, format!("\n{ALLOW}")),
        None => (item.span().byte_range().start, format!("{ALLOW}\n")),
    }
}

fn insert(text: &str, mut insertions: Vec<(usize, String)>) -> String {
    insertions.sort_by_key(|(at, _)| *at);
    let mut output = String::with_capacity(text.len());
    let mut copied = 0;
    for (at, inserted) in insertions {
        output.push_str(&text[copied..at]);
        output.push_str(&inserted);
        copied = at;
    }
    output.push_str(&text[copied..]);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(entries: &[(&[&str], &str)]) -> Modules {
        let path = |path: &[&str]| path.iter().map(|part| (*part).to_owned()).collect();
        entries
            .iter()
            .map(|(at, text)| (path(at), (*text).to_owned()))
            .collect()
    }

    fn root_of(entries: &[(&[&str], &str)]) -> String {
        let files = files(modules(entries)).unwrap();
        files[ROOT]
            .replace(ALLOW, "")
            .split_whitespace()
            .skip(7)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn packages_nest() {
        let root = root_of(&[(&["a"], ""), (&["a", "b"], ""), (&["c", "d"], "")]);
        assert_eq!(
            root,
            r#"pub mod a { include!("a.rs"); pub mod b { include!("a.b.rs"); } } pub mod c { pub mod d { include!("c.d.rs"); } }"#
        );
    }

    #[test]
    fn a_messages_module_takes_in_the_package_of_its_name() {
        let entries: &[(&[&str], &str)] = &[
            (&["x"], "pub mod a {\n    pub struct B {}\n}\n"),
            (&["x", "a"], ""),
            (&["x", "a", "c"], ""),
        ];
        assert_eq!(root_of(entries), r#"pub mod x { include!("x.rs"); }"#);
        let files = files(modules(entries)).unwrap();
        let words = files["x.rs"]
            .split_whitespace()
            .skip(7)
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(
            words,
            r#"pub mod a { pub struct B {} include!("x.a.rs"); pub mod c { include!("x.a.c.rs"); } }"#
        );
    }

    #[test]
    fn a_package_called_wireloom_is_not_the_root() {
        let root = root_of(&[(&["wireloom"], ""), (&["a", "wireloom"], "")]);
        assert_eq!(
            root,
            r#"pub mod a { pub mod wireloom { include!("a.wireloom.rs"); } } pub mod wireloom { include!("wireloom_.rs"); }"#
        );
        let clash = files(modules(&[(&["wireloom"], ""), (&["wireloom_"], "")]));
        let expected = "two packages would be written to one file, `wireloom_.rs`";
        assert_eq!(clash.unwrap_err().to_string(), expected);
    }

    #[test]
    fn names_that_meet_are_an_error() {
        let entries: &[(&[&str], &str)] = &[
            (&["x"], "pub mod a { pub struct B {} }"),
            (&["x", "a"], "pub struct B {}"),
        ];
        let error = files(modules(entries)).unwrap_err();
        let expected =
            "two items are named `B` in module `x::a`: one of package `x`, one of package `x.a`";
        assert_eq!(error.to_string(), expected);
    }
}
