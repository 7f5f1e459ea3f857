//! Generates from the protos whose rules the tests hold requests to, and from one whose rules are wrong.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    wireloom_build::builder()
        .proto("proto/validated.proto")
        .includes(["proto", "../real/googleapis-common-protos"])
        .descriptors(true)
        .generate()?;
    let wrong = PathBuf::from(env::var("OUT_DIR")?).join("wrong");
    fs::create_dir_all(&wrong)?;
    wireloom_build::builder()
        .proto("proto/wrong.proto")
        .descriptors(true)
        .out_dir(wrong)
        .generate()?;
    Ok(())
}
