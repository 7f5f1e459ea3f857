//! Generates `proto/greeter.proto`'s messages, client and server into the build's own folder.

fn main() -> Result<(), wireloom_build::Error> {
    wireloom_build::builder()
        .config("wireloom.toml")
        .generate()?;
    Ok(())
}
