//! Where a new project takes Wireloom from.

use std::fmt;
use std::path::{Path, PathBuf};

/// The checkout that this binary was built from while that stands, else the published version.
#[derive(Debug)]
pub(crate) enum Dependencies {
    Checkout(PathBuf),
    Published,
}

/// The version that fits code of this generator.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR")
);

impl Dependencies {
    /// Looks for the checkout. A binary that came from a registry was built in a folder that is none.
    pub(crate) fn locate() -> Self {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR"));
        let checkout = built_in.ancestors().nth(2).filter(|root| {
            // The path goes into Cargo.toml, which is UTF-8.
            let is_crate = |folder| root.join(folder).join("Cargo.toml").is_file();
            root.to_str().is_some() && is_crate("runtime") && is_crate("generator")
        });
        checkout.map_or(Self::Published, |root| Self::Checkout(root.to_owned()))
    }

    /// The value of the dependency in `Cargo.toml` on the crate in a folder of the checkout, with features.
    pub(crate) fn on(&self, folder: &str, features: &[&str]) -> String {
        let source = match self {
            Self::Checkout(root) => {
                let path = toml::Value::from(root.join(folder).to_string_lossy().into_owned());
                format!("path = {path}")
            }
            Self::Published => format!("version = {VERSION:?}"),
        };
        match features {
            [] => format!("{{ {source} }}"),
            features => format!("{{ {source}, features = {features:?} }}"),
        }
    }
}

impl fmt::Display for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkout(root) => write!(
                f,
                "it depends on the checkout of Wireloom in {}",
                root.display()
            ),
            Self::Published => write!(f, "it depends on the published Wireloom {VERSION}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_as_toml_wants_it() {
        let dependency =
            Dependencies::Checkout(PathBuf::from(r#"/a "b"\c"#)).on("runtime", &["config"]);
        let table: toml::Table =
            toml::from_str(&format!("wireloom = {dependency}")).expect("it is TOML");
        assert_eq!(
            table["wireloom"]["path"].as_str(),
            Some(r#"/a "b"\c/runtime"#)
        );
        assert_eq!(table["wireloom"]["features"][0].as_str(), Some("config"));
    }

    #[test]
    fn the_published_version_is_a_requirement() {
        let dependency = Dependencies::Published.on("generator", &[]);
        assert_eq!(dependency, "{ version = \"0.1\" }");
    }
}
