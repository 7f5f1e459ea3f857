//! `wireloom generate`: writes Rust code, or says how what is on disk differs.

use std::env;
use std::path::{self, Path, PathBuf};

use miette::{Report, miette};
use wireloom_build::{Builder, Drift};

use crate::Outcome;
use crate::args::GenerateArgs;
use crate::output::{self, counted};

const CONFIG: &str = "wireloom.toml";
/// The file that includes all others.
const ROOT: &str = "wireloom.rs";

pub(crate) fn run(args: GenerateArgs) -> Result<Outcome, Report> {
    let builder = args.output.apply(args.input.into_builder()?);
    if args.check {
        return check(builder);
    }
    let done = builder.generate()?;
    for path in &done.written {
        output::line(format_args!("wrote {}", path.display()))?;
    }
    for path in &done.removed {
        output::line(format_args!(
            "removed {}, which nothing asks for any more",
            path.display()
        ))?;
    }
    output::line(format_args!(
        "wrote {}, unchanged {}",
        done.written.len(),
        done.unchanged.len()
    ))?;
    // Where an earlier run had written, some file would be as it was.
    if done.unchanged.is_empty()
        && let Some(root) = done.written.iter().find(|path| path.ends_with(ROOT))
    {
        output::line(format_args!(
            "bring them in with: #[path = {:?}] pub mod proto;",
            from_sources(root)
        ))?;
    }
    Ok(Outcome::Done)
}

/// A path as `src/lib.rs` and `src/main.rs` of its package would name it; as it is, where there is no such package.
fn from_sources(path: &Path) -> PathBuf {
    let in_package = path::absolute(path).ok().and_then(|absolute| {
        let is_package =
            |folder: &&Path| folder.join("Cargo.toml").is_file() && folder.join("src").is_dir();
        let package = absolute.ancestors().find(is_package)?;
        absolute.strip_prefix(package).map(Path::to_owned).ok()
    });
    let from_package = in_package.as_deref().unwrap_or(path);
    match from_package.strip_prefix("src") {
        Ok(below) => below.to_owned(),
        Err(_) if in_package.is_some() => Path::new("..").join(from_package),
        Err(_) => path.to_owned(),
    }
}

fn check(builder: Builder) -> Result<Outcome, Report> {
    let drift: Drift = builder.check()?;
    if drift.is_empty() {
        output::line("up to date")?;
        return Ok(Outcome::Done);
    }
    output::text(drift.to_string())?;
    output::line(format_args!(
        "\n{} out of date: run the command again without --check",
        counted(drift.paths().count(), "file is", "files are")
    ))?;
    Ok(Outcome::Drift)
}

/// The nearest `wireloom.toml`, in the working folder or one above it, as Cargo looks for its manifest. Where protos are
/// `named`, there need be none.
pub(crate) fn find_config(named: bool) -> Result<Option<PathBuf>, Report> {
    if Path::new(CONFIG).is_file() {
        return Ok(Some(CONFIG.into()));
    }
    let here =
        env::current_dir().map_err(|error| miette!("the working folder is unknown: {error}"))?;
    let found = here
        .ancestors()
        .map(|folder| folder.join(CONFIG))
        .find(|path| path.is_file());
    match found {
        None if !named => Err(miette!(
            help = "name the protos: `wireloom generate proto/greeter.proto --out src/proto`; or name a wireloom.toml with --config",
            "no proto was named, and there is no {CONFIG} in {} or a folder above it",
            here.display()
        )),
        found => Ok(found),
    }
}
