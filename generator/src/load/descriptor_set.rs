//! Descriptors from a file: the output of `protoc --descriptor_set_out` or `buf build`.

use std::error::Error as StdError;
use std::fs;
use std::path::Path;

use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::FileDescriptorSet;

use crate::error::Error;
use crate::load::{Loaded, NO_EDITIONS, Sources, to_generate};
use crate::source::Place;
use crate::suggest;

/// Reads a descriptor set; the protos that were named say which of its files to generate code for.
pub(super) fn load(path: &Path, sources: &Sources) -> Result<Loaded, Error> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| {
        Error::new(format!("cannot read the descriptor set `{shown}`")).with_cause(error)
    })?;
    let pool = decode(&bytes, &shown.to_string())?;

    let known: Vec<String> = pool.files().map(|file| file.name().to_owned()).collect();
    let mut names = Vec::new();
    for proto in &sources.protos {
        // A name of a file in the set, or a path on disk that ends in one.
        let proto = proto.display().to_string().replace('\\', "/");
        let is_it = |name: &&String| proto == **name || proto.ends_with(&format!("/{name}"));
        let Some(name) = known.iter().filter(is_it).max_by_key(|name| name.len()) else {
            return Err(Error::new(format!(
                "there is no file `{proto}` in the descriptor set `{shown}`"
            ))
            .with_help(suggest::help(
                &proto,
                known.iter().map(String::as_str),
                "file",
            )));
        };
        names.push(name.clone());
    }
    let names = (!names.is_empty()).then_some(names.as_slice());
    Ok(Loaded {
        generate: to_generate(&pool, names),
        pool,
        read: vec![path.to_owned()],
        ..Loaded::default()
    })
}

/// Makes a pool of an encoded descriptor set, whose name is for messages.
pub(super) fn decode(bytes: &[u8], name: &str) -> Result<DescriptorPool, Error> {
    let incomplete = |error: Box<dyn StdError + Send + Sync>| {
        Error::new(format!("`{name}` is no complete descriptor set")).with_cause(error).with_help(
            "make it with all imports, comments and places: `protoc --include_imports --include_source_info \
             --descriptor_set_out=FILE`, or `buf build -o FILE`",
        )
    };
    // prost-reflect 0.16 panics on a syntax that it does not know.
    let set = FileDescriptorSet::decode(bytes).map_err(|error| incomplete(error.into()))?;
    for file in set.file {
        if !["", "proto2", "proto3"].contains(&file.syntax()) {
            let place = Place {
                file: file.name().to_owned(),
                line: 0,
                column: 0,
            };
            let error = Error::new(format!("the syntax `{}` is not known", file.syntax()));
            return Err(error.at_place(place).with_help(NO_EDITIONS));
        }
    }
    DescriptorPool::decode(bytes).map_err(|error| incomplete(error.into()))
}
