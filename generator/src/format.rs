//! Makes generated text read as if written by hand.
//!
//! Two ways lead there. **rustfmt**, where people read the files: it is run in the folder that the files go to, so that
//! the project's own `rustfmt.toml` rules, as it does when people format the file themselves; `$RUSTFMT` names another
//! program. **prettyplease**, in `OUT_DIR` and where rustfmt is missing or fails: it needs nothing installed, but drops
//! comments and blank lines, so those are put back.

mod blank_lines;
mod comments;
mod compare;
mod tokens;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use compare::same_but_layout;

use crate::error::Error;
use crate::source::Source;

/// How a run formats its files.
#[derive(Clone, Debug)]
pub(crate) enum Formatter {
    /// rustfmt, run in a folder.
    Rustfmt(PathBuf),
    /// prettyplease.
    Prettyplease,
}

impl Formatter {
    /// For files in `folder` that people read.
    pub(crate) fn for_people(folder: &Path) -> Self {
        // The folder may not be there yet: its nearest ancestor has the same rustfmt.toml.
        let folder = folder.ancestors().find(|folder| folder.is_dir());
        Self::Rustfmt(folder.unwrap_or(Path::new(".")).to_owned())
    }

    /// Formats the text of a file; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// If the text is not Rust, which a template of the user's may have caused.
    pub(crate) fn format(&self, name: &str, text: &str) -> Result<String, Error> {
        let file = parse(name, text)?;
        let by_rustfmt = match self {
            Self::Rustfmt(folder) => rustfmt(folder, text),
            Self::Prettyplease => None,
        };
        let formatted =
            by_rustfmt.unwrap_or_else(|| comments::put_back(text, prettyplease::unparse(&file)));
        let file = parse(name, &formatted)?;
        Ok(blank_lines::put_in(&formatted, &file))
    }
}

/// Parses the text of a file.
pub(crate) fn parse(name: &str, text: &str) -> Result<syn::File, Error> {
    syn::parse_file(text).map_err(|error| {
        Error::new(format!("the generated code is not valid Rust: {error}"))
            .at(
                &Source::new(format!("{name} (generated)"), text),
                error.span().byte_range(),
                "",
            )
            .with_help("if the project overrides templates, look for what they write here")
    })
}

/// Runs rustfmt over a text; `None` where there is none, or it fails.
fn rustfmt(folder: &Path, text: &str) -> Option<String> {
    let program = std::env::var_os("RUSTFMT").unwrap_or(OsString::from("rustfmt"));
    let mut child = Command::new(program)
        .args(["--edition", "2024", "--emit", "stdout"])
        .args(["--config", "disable_all_formatting=false"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // rustfmt reads all before it writes, so there is no deadlock; dropping stdin ends its input.
    let written = stdin.write_all(text.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().ok()?;
    let formatted = String::from_utf8(output.stdout).ok()?;
    (written.is_ok() && output.status.success() && !formatted.is_empty()).then_some(formatted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UGLY: &str = "// header\n\nuse a::B;\nuse a::C;\n/// Docs.\npub struct A { pub x: i32, // why\n  /* block */ pub y: i32 }\n\
        pub mod m {\n// detached\n\n/// E.\npub enum E { A=1 }\nimpl E { fn a() {}\n  fn b(&self) { let x = 1; } }\n// end\n}\n// last\n";

    #[test]
    fn prettyplease_keeps_comments_and_separates_items() {
        let formatted = Formatter::Prettyplease.format("a.rs", UGLY).unwrap();
        let expected = "\
// header

use a::B;
use a::C;

/// Docs.
pub struct A {
    pub x: i32, // why
    /* block */
    pub y: i32,
}

pub mod m {
    // detached

    /// E.
    pub enum E {
        A = 1,
    }

    impl E {
        fn a() {}

        fn b(&self) {
            let x = 1;
        }
    }
    // end
}
// last
";
        assert_eq!(formatted, expected);
    }

    #[test]
    fn formatting_twice_changes_nothing() {
        for formatter in [
            Formatter::Prettyplease,
            Formatter::for_people(Path::new("/")),
        ] {
            let once = formatter.format("a.rs", UGLY).unwrap();
            assert_eq!(formatter.format("a.rs", &once).unwrap(), once);
        }
    }

    #[test]
    fn layout_does_not_count_and_the_rest_does() {
        let text = "fn a(x: i32) { b(|| c()) }\n// b\nuse d;\nuse e;";
        let same = |other| same_but_layout(text, other);
        assert!(same(
            "fn a(\n    x: i32,\n) {\n    b(|| { c() }) }\n\n// b\n\nuse e;\nuse d;"
        ));
        assert!(!same("fn a(x: i32) { b(|| c()) }\n// c\nuse d;\nuse e;"));
        assert!(!same("fn a(y: i32) { b(|| c()) }\n// b\nuse d;\nuse e;"));
        assert!(!same("fn a(x: i32) { b(|| c()) }\n// b\nuse d;"));
    }

    #[test]
    fn prettyplease_takes_over_where_rustfmt_cannot_run() {
        let formatter = Formatter::Rustfmt("no/such/folder".into());
        let by_prettyplease = Formatter::Prettyplease.format("a.rs", UGLY).unwrap();
        assert_eq!(formatter.format("a.rs", UGLY).unwrap(), by_prettyplease);
        let by_rustfmt = Formatter::for_people(Path::new("/"))
            .format("a.rs", UGLY)
            .unwrap();
        assert!(same_but_layout(&by_rustfmt, &by_prettyplease));
    }

    #[test]
    fn text_that_is_not_rust_is_an_error_at_its_place() {
        let error = Formatter::Prettyplease
            .format("a.rs", "fn a() {}\nfn (")
            .unwrap_err();
        assert!(
            error.to_string().starts_with("a.rs (generated):2:"),
            "{error}"
        );
    }
}
