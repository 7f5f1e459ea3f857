//! Makes the library's modules: one per golden case that has expected output, so that a new case is a new folder and
//! nothing else.

use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    wireloom_build::compile_protos("proto/probe.proto")?;
    println!("cargo::rerun-if-changed=golden");
    let golden = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it")).join("golden");
    let mut cases: Vec<_> = fs::read_dir(golden)?.collect::<Result<_, _>>()?;
    cases.sort_by_key(|case| case.file_name());

    let mut modules = String::new();
    for case in cases {
        let output = case.path().join("expected").join("wireloom.rs");
        if output.exists() {
            let name = case.file_name().to_string_lossy().replace('-', "_");
            modules.push_str(&format!(
                "/// The expected output of the case.\npub mod {name} {{\n    include!({output:?});\n}}\n"
            ));
        }
    }
    let out = Path::new(&env::var("OUT_DIR").expect("Cargo sets it")).join("goldens.rs");
    fs::write(out, modules)?;
    Ok(())
}
