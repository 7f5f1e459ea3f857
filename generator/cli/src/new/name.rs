//! The name of a new package: what Cargo accepts, and what the project's own code can live with.

use miette::{Report, miette};

/// A name that Cargo accepts for a package, and whose crate name Rust code can use.
#[derive(Debug)]
pub(crate) struct Name {
    package: String,
}

/// Crates that Rust code reaches without naming them in `Cargo.toml`.
const BUILT_IN: [&str; 5] = ["alloc", "core", "proc_macro", "std", "test"];

/// The crates that the project depends on.
const DEPENDENCIES: [&str; 4] = ["tokio", "tracing_subscriber", "wireloom", "wireloom_build"];

/// Words that Rust keeps for itself (the Rust reference, "Keywords": strict and reserved, and the path words).
const KEYWORDS: [&str; 53] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "_",
];

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// If Cargo or Rust would refuse it; the error says why.
    pub(crate) fn parse(name: &str) -> Result<Self, Report> {
        let refuse = |why: String| {
            Err(miette!(
                help = "use letters, digits, `-` and `_`, such as `greeter` or `order-service`",
                "{name:?} cannot be the name of a package: {why}"
            ))
        };
        let Some(first) = name.chars().next() else {
            return refuse("it is empty".to_owned());
        };
        if name.contains(['/', '\\']) {
            return Err(miette!(
                help =
                    "name the folder with --path: `wireloom new greeter --path services/greeter`",
                "{name:?} cannot be the name of a package: it is a path"
            ));
        }
        if let Some(odd) = name
            .chars()
            .find(|&c| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        {
            return refuse(format!("it has a {odd:?}"));
        }
        if !(first.is_ascii_alphabetic() || first == '_') {
            return refuse(format!("it starts with {first:?}"));
        }
        let package = name.to_owned();
        let name = Self { package };
        let crate_name = name.crate_name();
        if KEYWORDS.contains(&crate_name.as_str()) {
            return refuse("it is a word that Rust keeps for itself".to_owned());
        }
        if BUILT_IN.contains(&crate_name.as_str()) {
            return refuse("it is a crate that comes with Rust".to_owned());
        }
        if DEPENDENCIES.contains(&crate_name.as_str()) {
            return refuse("the project depends on a crate of that name".to_owned());
        }
        Ok(name)
    }

    /// The name in `Cargo.toml`.
    pub(crate) fn package(&self) -> &str {
        &self.package
    }

    /// The path of the library in the code of the programs and tests.
    ///
    /// A crate may be called as a type that they import is, `Server` say: `::` tells the two apart.
    pub(crate) fn crate_path(&self) -> String {
        let crate_name = self.crate_name();
        match crate_name.contains(|c: char| c.is_ascii_uppercase()) {
            true => format!("::{crate_name}"),
            false => crate_name,
        }
    }

    fn crate_name(&self) -> String {
        self.package.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_are_accepted() {
        for name in [
            "greeter",
            "order-service",
            "a",
            "_x",
            "A1",
            "x--y",
            "server",
            "client",
            "demo",
            "proto",
            "Greeter",
        ] {
            assert!(Name::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_crate_that_may_be_called_as_a_type_is_told_apart() {
        let path = |name| {
            Name::parse(name)
                .map(|name| name.crate_path())
                .expect("the name is good")
        };
        assert_eq!(path("order-service"), "order_service");
        assert_eq!(path("Server"), "::Server");
    }

    #[test]
    fn a_name_is_refused_with_a_reason() {
        let refused = [
            ("", "it is empty"),
            ("1st", "it starts with '1'"),
            ("-x", "it starts with '-'"),
            ("a b", "it has a ' '"),
            ("a.b", "it has a '.'"),
            ("grüße", "it has a 'ü'"),
            ("a/b", "it is a path"),
            ("match", "a word that Rust keeps"),
            ("_", "a word that Rust keeps"),
            ("proc-macro", "comes with Rust"),
            ("wireloom-build", "depends on a crate"),
        ];
        for (name, why) in refused {
            let error = Name::parse(name).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
    }
}
