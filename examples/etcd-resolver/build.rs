//! Generates `proto/whoami.proto`'s messages, client and server into the build's own folder.

fn main() -> Result<(), wireloom_build::Error> {
    wireloom_build::compile_protos("proto/whoami.proto")?;
    Ok(())
}
