//! The descriptors that services are held to: of each, its own before those of others, since files of two crates may have one
//! name.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use prost::{DecodeError, Message};
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _};
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
    /// Whether the user added it (`Server::file_descriptor_set`), rather than a service having it.
    is_added: bool,
    files: Vec<File>,
}

struct File {
    raw: Bytes,
    named: FileDescriptorProto,
}

/// The files of a set, and whatever of others can stand beside them.
pub(super) struct Linked<'a> {
    pub(super) pool: DescriptorPool,
    pub(super) left_out: Vec<LeftOut<'a>>,
    /// The same as an encoded `FileDescriptorSet`.
    pub(super) encoded: Vec<u8>,
}

impl<'a> Sets<'a> {
    /// Those that the user `added`, and those of services.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no descriptor set, and for an added one that lacks what its files import, or is no valid one
    /// otherwise: the rules in it would not hold, and nobody would know.
    pub(super) fn decode(
        added: impl Iterator<Item = &'a [u8]>,
        of_services: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Status> {
        let added = added.map(|encoded| (encoded, true));
        let of_services = of_services.map(|encoded| (encoded, false));
        let mut sets = Self(Vec::new());
        for (encoded, is_added) in added.chain(of_services) {
            if !encoded.is_empty() && sets.0.iter().all(|set| set.encoded != encoded) {
                let set = Set::decode(encoded, is_added);
                sets.0
                    .push(set.map_err(|error| invalid(&error.to_string()))?);
            }
        }
        for number in 0..sets.0.len() {
            if sets.0[number].is_added {
                sets.link(number)?;
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
    pub(super) fn link(&self, number: usize) -> Result<Linked<'_>, Status> {
        let own = &self.0[number];
        let all = [own].into_iter().chain(&self.0);
        let mut files = BTreeMap::new();
        let mut left_out = Vec::new();
        for (set, file) in all.flat_map(|set| set.files.iter().map(move |file| (set, file))) {
            let (_, first) = files.entry(file.named.name()).or_insert((set, file));
            // Crates have files of one name each; whoever adds a set wants it to hold.
            if set.is_added && !first.is_like(file) {
                left_out.push(LeftOut {
                    file: file.named.name(),
                    is_added: true,
                    why: "there is another file of that name".to_owned(),
                });
            }
        }
        let mut linking = Linking::of(&files);
        for file in &own.files {
            let linked = linking.add(file.named.name());
            linked.map_err(|error| invalid(&error))?;
        }
        for (file, (set, _)) in &files {
            if let Err(why) = linking.add(file) {
                let is_added = set.is_added;
                left_out.push(LeftOut {
                    file,
                    is_added,
                    why,
                });
            }
        }
        Ok(Linked {
            pool: linking.pool,
            left_out,
            encoded: linking.added.encode_to_vec(),
        })
    }
}

impl<'a> Set<'a> {
    fn decode(encoded: &'a [u8], is_added: bool) -> Result<Self, DecodeError> {
        let raw = RawSet::decode(encoded)?.file.into_iter();
        let named = FileDescriptorSet::decode(encoded)?.file;
        let files = raw.zip(named).map(|(raw, named)| File { raw, named });
        Ok(Self {
            encoded,
            is_added,
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

impl File {
    /// Whether it says the same, whatever is known of where its source says it.
    fn is_like(&self, other: &Self) -> bool {
        self.raw == other.raw || self.without_source() == other.without_source()
    }

    /// With all that its options are extended by, as fields that are not known.
    fn without_source(&self) -> Option<DynamicMessage> {
        let kind = self.named.descriptor();
        let mut file = DynamicMessage::decode(kind, self.raw.clone()).ok()?;
        file.clear_field_by_name("source_code_info");
        Some(file)
    }
}

/// A file that cannot stand beside those of a set.
pub(super) struct LeftOut<'a> {
    file: &'a str,
    is_added: bool,
    why: String,
}

impl LeftOut<'_> {
    /// Tells for which services it is left out: of what the user added, so that it is seen.
    pub(super) fn tell(&self, services: &[&str]) {
        let Self { file, why, .. } = self;
        let services = services.join(", ");
        match self.is_added {
            true => tracing::warn!(
                target: "wireloom",
                file, services, why,
                "a file of `Server::file_descriptor_set` cannot stand beside those of services, which are not held to its rules"
            ),
            false => tracing::debug!(
                target: "wireloom",
                file, services, why,
                "a file of other services' descriptors cannot stand beside those of services, and is left out for them"
            ),
        }
    }
}

/// Adds files behind those that they import.
struct Linking<'a> {
    files: &'a BTreeMap<&'a str, (&'a Set<'a>, &'a File)>,
    tried: HashSet<&'a str>,
    pool: DescriptorPool,
    added: RawSet,
}

impl<'a> Linking<'a> {
    fn of(files: &'a BTreeMap<&'a str, (&'a Set<'a>, &'a File)>) -> Self {
        Self {
            files,
            tried: HashSet::new(),
            pool: DescriptorPool::new(),
            added: RawSet::default(),
        }
    }

    /// Each file is tried once; what imports one that is not there fails by itself.
    ///
    /// # Errors
    ///
    /// Which file is wrong, and how.
    fn add(&mut self, name: &str) -> Result<(), String> {
        let Some((name, (_, file))) = self.files.get_key_value(name) else {
            return Ok(());
        };
        if !self.tried.insert(name) {
            return Ok(());
        }
        for import in &file.named.dependency {
            self.add(import)?;
        }
        let linked = self.pool.decode_file_descriptor_proto(file.raw.clone());
        linked.map_err(|error| format!("{name}: {error}"))?;
        self.added.file.push(file.raw.clone());
        Ok(())
    }
}

fn invalid(error: &str) -> Status {
    Status::invalid_argument(format!("the descriptors cannot be decoded: {error}"))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use prost_types::{DescriptorProto, SourceCodeInfo};

    use super::*;

    fn file(name: &str, message: &str, imports: &[&str]) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(name.to_owned()),
            dependency: imports.iter().map(|&import| import.to_owned()).collect(),
            message_type: vec![DescriptorProto {
                name: Some(message.to_owned()),
                ..DescriptorProto::default()
            }],
            ..FileDescriptorProto::default()
        }
    }

    fn set(file: &[FileDescriptorProto]) -> Vec<u8> {
        let file = file.to_vec();
        FileDescriptorSet { file }.encode_to_vec()
    }

    fn decode<'a>(added: &'a [Vec<u8>], of_services: &'a [Vec<u8>]) -> Result<Sets<'a>, Status> {
        let slices = |sets: &'a [Vec<u8>]| sets.iter().map(Vec::as_slice);
        Sets::decode(slices(added), slices(of_services))
    }

    /// What of these two is left out for the service's, and whether it was added.
    fn left_out(
        added: &FileDescriptorProto,
        of_service: &FileDescriptorProto,
    ) -> Vec<(String, bool)> {
        let (added, of_service) = ([set(from_ref(added))], [set(from_ref(of_service))]);
        let sets = decode(&added, &of_service).unwrap();
        let linked = sets.link(sets.0.len() - 1).unwrap();
        let left_out = linked.left_out.into_iter();
        left_out
            .map(|left_out| (left_out.file.to_owned(), left_out.is_added))
            .collect()
    }

    #[test]
    fn an_added_set_without_what_it_imports_is_refused_by_the_name_of_its_file() {
        let lacking = [set(&[file("notes.proto", "Note", &["gone.proto"])])];
        let status = decode(&lacking, &[]).err().unwrap();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        for part in ["notes.proto", "gone.proto"] {
            assert!(status.message().contains(part), "{status}");
        }
    }

    #[test]
    fn an_added_set_may_import_what_a_service_has() {
        let added = file("notes.proto", "Note", &["common.proto"]);
        assert_eq!(left_out(&added, &file("common.proto", "Name", &[])), []);
    }

    #[test]
    fn an_added_file_of_another_s_name_is_left_out_unless_it_says_the_same() {
        let own = file("common.proto", "Name", &[]);
        let other = file("common.proto", "Size", &[]);
        let clash = [("common.proto".to_owned(), true)];
        assert_eq!(left_out(&other, &own), clash);
        let commented = FileDescriptorProto {
            source_code_info: Some(SourceCodeInfo::default()),
            ..own.clone()
        };
        assert_eq!(left_out(&commented, &own), []);
    }

    #[test]
    fn an_added_file_with_another_s_message_is_left_out() {
        let left_out = left_out(&file("a.proto", "Name", &[]), &file("b.proto", "Name", &[]));
        assert_eq!(left_out, [("a.proto".to_owned(), true)]);
    }

    #[test]
    fn of_two_services_with_files_of_one_name_each_has_its_own() {
        let sets = ["Name", "Size"].map(|message| set(&[file("common.proto", message, &[])]));
        let sets = decode(&[], &sets).unwrap();
        for (number, message) in ["Name", "Size"].into_iter().enumerate() {
            let linked = sets.link(number).unwrap();
            assert!(linked.pool.get_message_by_name(message).is_some());
            assert!(linked.left_out.is_empty());
        }
    }
}
