//! Generates the service whose requests have rules.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    wireloom_build::builder()
        .proto("../validation/proto/validated.proto")
        .include("../validation/proto")
        .descriptors(true)
        .generate()?;
    Ok(())
}
