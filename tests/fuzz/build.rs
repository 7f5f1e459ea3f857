//! Generates the service whose requests have rules.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    wireloom_build::builder()
        .proto("../validation/proto/validated.proto")
        .includes(["../validation/proto", "../real/googleapis-common-protos"])
        .descriptors(true)
        .generate()?;
    Ok(())
}
