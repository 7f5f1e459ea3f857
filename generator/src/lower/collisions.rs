//! Collisions: two things of a proto that become one name in Rust.
//!
//! Every name that generated code declares is claimed, in the module or the type it is declared in. What is claimed
//! twice is an error that names both, rather than one of rustc's about code that nobody wrote.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::error::Error;
use crate::source::Spot;

/// What a name is for: names of different kinds do not collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A type, a trait or a module.
    Type,
    /// A static.
    Static,
    /// A field, a variant or a method.
    Member,
}

/// A thing of a proto that gets a name.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// What it is, for a message (``message `x.Foo` ``).
    what: String,
    spot: Spot,
    /// The table of `wireloom.toml` that can give it another name.
    table: Option<String>,
    /// Whether it is a module that the modules of packages may be part of.
    merges: Merges,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merges {
    /// With nothing.
    Never,
    /// A module of a message's nested types: with a package's.
    WithPackages,
    /// A package's module: with any module.
    WithModules,
}

impl Item {
    /// A thing by what it is.
    pub(super) fn new(what: String, spot: &Spot) -> Self {
        Self {
            what,
            spot: spot.clone(),
            table: None,
            merges: Merges::Never,
        }
    }

    /// That `wireloom.toml` can give another name.
    pub(super) fn renamed(mut self, table: &str, name: &str) -> Self {
        self.table = Some(format!("[{table}.\"{name}\"]"));
        self
    }

    /// That is a module of a message.
    pub(super) fn module(mut self) -> Self {
        self.merges = Merges::WithPackages;
        self
    }

    /// That is a module of packages.
    pub(super) fn package(mut self) -> Self {
        self.merges = Merges::WithModules;
        self
    }

    fn merges_with(&self, other: &Self) -> bool {
        match (self.merges, other.merges) {
            (Merges::Never, _)
            | (_, Merges::Never)
            | (Merges::WithPackages, Merges::WithPackages) => false,
            (Merges::WithModules, _) | (_, Merges::WithModules) => true,
        }
    }
}

/// The names that are claimed so far.
#[derive(Debug, Default)]
pub(super) struct Idents {
    claimed: HashMap<(Vec<String>, Kind, String), Item>,
    errors: Vec<Error>,
}

impl Idents {
    /// Claims a name in a module, or in a type by its path; `false` if it is another's.
    ///
    /// What follows from a name that is another's would be no news: claim no more for it.
    pub(super) fn claim(&mut self, scope: &[String], kind: Kind, name: &str, item: Item) -> bool {
        match self.claimed.entry((scope.to_vec(), kind, name.to_owned())) {
            Entry::Vacant(entry) => {
                entry.insert(item);
            }
            Entry::Occupied(mut entry) if entry.get().merges_with(&item) => {
                // The message's module is the one that must not meet another.
                if item.merges == Merges::WithPackages {
                    entry.insert(item);
                }
            }
            Entry::Occupied(entry) => {
                self.errors.push(collision(entry.get(), &item, name));
                return false;
            }
        }
        true
    }

    /// What was claimed twice.
    pub(super) fn into_errors(self) -> Vec<Error> {
        self.errors
    }
}

fn collision(first: &Item, second: &Item, name: &str) -> Error {
    let what = format!(
        "{} and {} would both be `{name}` in Rust",
        second.what, first.what
    );
    let error = second
        .spot
        .error(what, "this one")
        .and_at(&first.spot, format!("and this one, {}", first.what));
    let table = second.table.as_ref().or(first.table.as_ref());
    error.with_help(match table {
        Some(table) => format!(
            "give one another name in Rust, in wireloom.toml: `{table}`, `rust_name = \"...\"`"
        ),
        None => "rename one of them in the proto".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn item(what: &str) -> Item {
        Item::new(
            what.to_owned(),
            &Spot::in_source(&Source::new("a.proto", what), 0..1),
        )
    }

    fn errors(claims: [(&str, Kind, Item); 2]) -> Vec<String> {
        let mut idents = Idents::default();
        for (scope, kind, item) in claims {
            idents.claim(&[scope.to_owned()], kind, "x", item);
        }
        idents
            .into_errors()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_name_claimed_twice_is_an_error_that_names_both() {
        let errors = errors([
            ("a", Kind::Type, item("message `A`")),
            ("a", Kind::Type, item("enum `B`")),
        ]);
        assert_eq!(
            errors,
            ["a.proto:1:1: enum `B` and message `A` would both be `x` in Rust"]
        );
    }

    #[test]
    fn names_of_different_kinds_and_places_do_not_collide() {
        assert!(errors([("a", Kind::Type, item("A")), ("a", Kind::Static, item("B"))]).is_empty());
        assert!(errors([("a", Kind::Type, item("A")), ("b", Kind::Type, item("B"))]).is_empty());
    }

    #[test]
    fn a_package_merges_with_the_module_of_a_message() {
        assert!(
            errors([
                ("a", Kind::Type, item("A").package()),
                ("a", Kind::Type, item("B").module())
            ])
            .is_empty()
        );
        assert_eq!(
            errors([
                ("a", Kind::Type, item("A").module()),
                ("a", Kind::Type, item("B").module())
            ])
            .len(),
            1
        );
    }

    #[test]
    fn help_offers_the_way_out() {
        let error = collision(
            &item("message `A`"),
            &item("service `B`").renamed("services", "a.B"),
            "x",
        );
        assert_eq!(
            error.help(),
            Some(
                "give one another name in Rust, in wireloom.toml: `[services.\"a.B\"]`, `rust_name = \"...\"`"
            )
        );
    }
}
