//! Generates what the tests need: the probe's stubs, and code from real protos. Lists the golden cases that have
//! expected output, so that a new case is a new folder and nothing else.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The protos of other projects in `real/`, each folder with where its includes start.
const REAL: [&str; 4] = [
    "etcd-client",
    "googleapis-common-protos",
    "opentelemetry-proto",
    "route-guide",
];

/// The proto of the README and the guides.
const GREETER: &str = "../examples/greeter/proto/greeter.proto";

/// For a client of it.
const REFLECTION: &str = "../runtime/proto/grpc/reflection/v1/reflection.proto";

fn main() -> Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    wireloom_build::builder()
        .protos([
            "proto/probe.proto",
            "proto/guarded.proto",
            GREETER,
            REFLECTION,
        ])
        .includes(["proto", "../examples/greeter/proto", "../runtime/proto"])
        .mocks(true)
        .descriptors(true)
        .generate()?;
    fs::write(out.join("goldens.rs"), goldens()?)?;
    fs::write(out.join("real.rs"), real(&out)?)?;
    Ok(())
}

/// A module per golden case that has output. None while new outputs are written: the old ones may not compile any more.
fn goldens() -> Result<String> {
    println!("cargo::rerun-if-changed=golden");
    println!("cargo::rerun-if-env-changed=WIRELOOM_BLESS");
    let mut modules = String::new();
    if env::var_os("WIRELOOM_BLESS").is_some() {
        return Ok(modules);
    }
    let mut cases: Vec<_> = fs::read_dir("golden")?.collect::<std::result::Result<_, _>>()?;
    cases.sort_by_key(fs::DirEntry::file_name);
    for case in cases {
        let output = fs::canonicalize(case.path())?
            .join("expected")
            .join("wireloom.rs");
        if output.exists() {
            modules.push_str(&module(&case.file_name().to_string_lossy(), &output));
        }
    }
    Ok(modules)
}

/// A module per folder of real protos.
fn real(out: &Path) -> Result<String> {
    let mut modules = String::new();
    for name in REAL {
        let (folder, out) = (Path::new("real").join(name), out.join(name));
        fs::create_dir_all(&out)?;
        wireloom_build::builder()
            .include(&folder)
            .protos(protos(&folder)?)
            .out_dir(&out)
            .generate()?;
        modules.push_str(&module(name, &out.join("wireloom.rs")));
    }
    Ok(modules)
}

/// Every proto below `folder`.
fn protos(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn module(name: &str, file: &Path) -> String {
    let name = name.replace('-', "_");
    format!(
        "/// What the generator makes of `{name}`.\npub mod {name} {{\n    include!({file:?});\n}}\n"
    )
}
