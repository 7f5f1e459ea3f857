//! Generates from the protos whose rules the tests hold requests to, for services of tonic as well, and from one whose rules
//! are wrong.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use wireloom_build::{Builder, Stubs};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    builder()
        .protos([
            "proto/cases.proto",
            "proto/extended.proto",
            "proto/required.proto",
            "proto/validated.proto",
        ])
        .generate()?;
    builder()
        .proto("proto/validated.proto")
        .stubs(Stubs::Tonic)
        .out_dir(folder("tonic")?)
        .generate()?;
    builder()
        .proto("proto/wrong.proto")
        .out_dir(folder("wrong")?)
        .generate()?;
    // As two crates would, whose files have one name.
    for side in ["left", "right"] {
        wireloom_build::builder()
            .include(format!("proto/{side}"))
            .descriptors(true)
            .proto(format!("proto/{side}/{side}.proto"))
            .out_dir(folder(side)?)
            .generate()?;
    }
    Ok(())
}

fn builder() -> Builder {
    wireloom_build::builder().include("proto").descriptors(true)
}

/// A folder of its own for what is generated.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = PathBuf::from(env::var("OUT_DIR")?).join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
