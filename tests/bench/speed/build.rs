//! Generates the messages and stubs of each contender from one proto.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTO: &str = "proto/speed.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    wireloom_build::compile_protos(PROTO)?;

    // Of the others, each in a folder of its own; none needs protoc.
    let descriptors = protox::compile([PROTO], ["proto"])?;
    let tonic = folder(&out, "tonic")?;
    tonic_prost_build::configure()
        .out_dir(tonic)
        .compile_fds(descriptors.clone())?;

    let connect = folder(&out, "connect")?;
    let descriptor_set = connect.join("speed.bin");
    fs::write(&descriptor_set, descriptors.encode_to_vec())?;
    connectrpc_build::Config::new()
        .descriptor_set(descriptor_set)
        .files(&["speed.proto"])
        .generate_json(false)
        .include_file("mod.rs")
        .out_dir(connect)
        .compile()?;

    let volo = folder(&out, "volo")?;
    volo_build::Builder::protobuf()
        .out_dir(volo)
        .include_dirs(vec!["proto".into()])
        .add_service(PROTO)
        .write()?;
    Ok(())
}

fn folder(out: &std::path::Path, name: &str) -> Result<PathBuf, std::io::Error> {
    let folder = out.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
