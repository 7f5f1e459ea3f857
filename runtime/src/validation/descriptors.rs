//! The descriptors that services are held to: of each, its own before those of others, since files of two crates may have one
//! name.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use prost::{DecodeError, Message};
use prost_reflect::{DescriptorError, DescriptorPool};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::Status;

/// A `FileDescriptorSet` whose files are left as they are: `prost_types` loses what their options are extended by.
#[derive(Clone, PartialEq, Message)]
struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// Descriptor sets, each once.
pub(super) struct Sets<'a>(Vec<Set<'a>>);

struct Set<'a> {
    encoded: &'a [u8],
    files: Vec<File>,
}

struct File {
    raw: Bytes,
    named: FileDescriptorProto,
}

/// The files of a set, and whatever of others can stand beside them.
pub(super) struct Linked {
    pub(super) pool: DescriptorPool,
    /// The same as an encoded `FileDescriptorSet`.
    pub(super) encoded: Vec<u8>,
}

impl<'a> Sets<'a> {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no descriptor set.
    pub(super) fn decode(encoded: impl Iterator<Item = &'a [u8]>) -> Result<Self, Status> {
        let mut sets = Self(Vec::new());
        for encoded in encoded.filter(|encoded| !encoded.is_empty()) {
            if sets.0.iter().all(|set| set.encoded != encoded) {
                let set = Set::decode(encoded).map_err(|error| invalid(&error.to_string()))?;
                sets.0.push(set);
            }
        }
        Ok(sets)
    }

    /// Which set a service is held to: `own` where that has it, and else the first that does.
    pub(super) fn of_service(&self, name: &str, own: &[u8]) -> Option<usize> {
        let mut sets = self.0.iter();
        let of_own = sets.position(|set| set.encoded == own && set.has_service(name));
        of_own.or_else(|| self.0.iter().position(|set| set.has_service(name)))
    }

    /// The set of this number, with what of the others can stand beside it. Of files with one name, its own stays.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a set that lacks what its files import, or is no valid one otherwise.
    pub(super) fn link(&self, number: usize) -> Result<Linked, Status> {
        let own = &self.0[number];
        let all = [own].into_iter().chain(&self.0);
        let mut files = BTreeMap::new();
        for file in all.flat_map(|set| &set.files) {
            files.entry(file.named.name()).or_insert(file);
        }
        let mut linking = Linking::of(&files);
        for file in &own.files {
            let added = linking.add(file.named.name());
            added.map_err(|error| invalid(&error.to_string()))?;
        }
        for name in files.keys() {
            if let Err(error) = linking.add(name) {
                tracing::debug!(
                    target: "wireloom",
                    file = name, %error,
                    "a file of other services' descriptors cannot stand beside those of a service, and is left out for it"
                );
            }
        }
        Ok(Linked {
            pool: linking.pool,
            encoded: linking.added.encode_to_vec(),
        })
    }
}

impl<'a> Set<'a> {
    fn decode(encoded: &'a [u8]) -> Result<Self, DecodeError> {
        let raw = RawSet::decode(encoded)?.file.into_iter();
        let named = FileDescriptorSet::decode(encoded)?.file;
        let files = raw.zip(named).map(|(raw, named)| File { raw, named });
        Ok(Self {
            encoded,
            files: files.collect(),
        })
    }

    fn has_service(&self, name: &str) -> bool {
        let (package, name) = name.rsplit_once('.').unwrap_or(("", name));
        let mut files = self.files.iter().map(|file| &file.named);
        files.any(|file| {
            let mut services = file.service.iter();
            file.package() == package && services.any(|service| service.name() == name)
        })
    }
}

/// Adds files behind those that they import.
struct Linking<'a> {
    files: &'a BTreeMap<&'a str, &'a File>,
    tried: HashSet<&'a str>,
    pool: DescriptorPool,
    added: RawSet,
}

impl<'a> Linking<'a> {
    fn of(files: &'a BTreeMap<&'a str, &'a File>) -> Self {
        Self {
            files,
            tried: HashSet::new(),
            pool: DescriptorPool::new(),
            added: RawSet::default(),
        }
    }

    /// Each file is tried once; what imports one that is not there fails by itself.
    fn add(&mut self, name: &str) -> Result<(), DescriptorError> {
        let Some((name, file)) = self.files.get_key_value(name) else {
            return Ok(());
        };
        if !self.tried.insert(name) {
            return Ok(());
        }
        for import in &file.named.dependency {
            self.add(import)?;
        }
        self.pool.decode_file_descriptor_proto(file.raw.clone())?;
        self.added.file.push(file.raw.clone());
        Ok(())
    }
}

fn invalid(error: &str) -> Status {
    Status::invalid_argument(format!("the descriptors cannot be decoded: {error}"))
}
