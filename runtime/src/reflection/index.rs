//! What descriptor sets declare, and in which file.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};
use tonic::Status;

/// A `google.protobuf.FileDescriptorSet` whose files are left as they are: prost-types would lose custom options.
#[derive(Clone, PartialEq, Message)]
struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// The names that a server knows.
#[derive(Debug, Default)]
pub(super) struct Index {
    services: BTreeSet<String>,
    files: HashMap<String, File>,
    /// The file of each symbol by its full name.
    symbols: HashMap<String, String>,
    /// Of each message, the files of its extensions by their numbers.
    messages: HashMap<String, BTreeMap<i32, String>>,
}

#[derive(Debug)]
struct File {
    encoded: Bytes,
    imports: Vec<String>,
}

impl Index {
    /// Knows that there are services of these names, and no more.
    pub(super) fn new<'a>(services: impl Iterator<Item = &'a str>) -> Self {
        Self {
            services: services.map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// Adds an encoded set. Of files with one name, the first stays.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no descriptor set.
    pub(super) fn add(&mut self, set: &[u8]) -> Result<(), Status> {
        let invalid = |error| {
            let message = format!("the descriptors cannot be decoded: {error}");
            Status::invalid_argument(message)
        };
        let set = RawSet::decode(Bytes::copy_from_slice(set)).map_err(invalid)?;
        for encoded in set.file {
            let file = FileDescriptorProto::decode(encoded.clone()).map_err(invalid)?;
            self.add_file(encoded, file);
        }
        Ok(())
    }

    fn add_file(&mut self, encoded: Bytes, file: FileDescriptorProto) {
        let name = file.name().to_owned();
        if self.files.contains_key(&name) {
            return;
        }
        let mut declared = Declared {
            file: &name,
            index: self,
        };
        let package = file.package();
        declared.messages(package, &file.message_type);
        declared.enums(package, &file.enum_type);
        declared.extensions(package, &file.extension);
        for service in &file.service {
            let service_name = declared.symbol(package, service.name());
            for method in &service.method {
                declared.symbol(&service_name, method.name());
            }
        }
        let imports = file.dependency;
        self.files.insert(name, File { encoded, imports });
    }

    /// The names of the services, sorted.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    /// The names of the services that no file declares, sorted.
    pub(super) fn undeclared(&self) -> impl Iterator<Item = &str> {
        self.services()
            .filter(|service| self.file_of_symbol(service).is_none())
    }

    /// The file that declares a symbol.
    pub(super) fn file_of_symbol(&self, symbol: &str) -> Option<&str> {
        self.symbols.get(symbol).map(String::as_str)
    }

    /// The file that declares the extension of a message with that number.
    pub(super) fn file_of_extension(&self, message: &str, number: i32) -> Option<&str> {
        self.messages.get(message)?.get(&number).map(String::as_str)
    }

    /// The numbers of all extensions of a message; `None` of one that is unknown.
    pub(super) fn extensions(&self, message: &str) -> Option<Vec<i32>> {
        // That there are extensions of it is no declaration.
        self.symbols.get(message)?;
        let extensions = self.messages.get(message)?;
        Some(extensions.keys().copied().collect())
    }

    /// The file of a name and all that it imports, directly or not, but for those in `sent`, to which they are added; `None`
    /// of one that is unknown.
    pub(super) fn with_imports(
        &self,
        file: &str,
        sent: &mut BTreeSet<String>,
    ) -> Option<Vec<Bytes>> {
        let first = self.files.get(file)?;
        sent.insert(file.to_owned());
        let mut files = vec![first.encoded.clone()];
        let mut seen = BTreeSet::from([file]);
        let mut todo: VecDeque<&str> = first.imports.iter().map(String::as_str).collect();
        while let Some(name) = todo.pop_front() {
            let Some(file) = self.files.get(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            todo.extend(file.imports.iter().map(String::as_str));
            if sent.insert(name.to_owned()) {
                files.push(file.encoded.clone());
            }
        }
        Some(files)
    }
}

/// Adds what a file declares.
struct Declared<'a> {
    file: &'a str,
    index: &'a mut Index,
}

impl Declared<'_> {
    /// Adds a symbol of a scope, and gives its full name.
    fn symbol(&mut self, scope: &str, name: &str) -> String {
        let full_name = match scope {
            "" => name.to_owned(),
            scope => format!("{scope}.{name}"),
        };
        let symbols = &mut self.index.symbols;
        symbols.insert(full_name.clone(), self.file.to_owned());
        full_name
    }

    fn messages(&mut self, scope: &str, messages: &[DescriptorProto]) {
        for message in messages {
            let name = self.symbol(scope, message.name());
            self.index.messages.entry(name.clone()).or_default();
            for field in &message.field {
                self.symbol(&name, field.name());
            }
            for oneof in &message.oneof_decl {
                self.symbol(&name, oneof.name());
            }
            self.messages(&name, &message.nested_type);
            self.enums(&name, &message.enum_type);
            self.extensions(&name, &message.extension);
        }
    }

    fn enums(&mut self, scope: &str, enums: &[EnumDescriptorProto]) {
        for enumeration in enums {
            self.symbol(scope, enumeration.name());
            // As in C++, the values of an enum are in its own scope.
            for value in &enumeration.value {
                self.symbol(scope, value.name());
            }
        }
    }

    fn extensions(&mut self, scope: &str, extensions: &[FieldDescriptorProto]) {
        for extension in extensions {
            self.symbol(scope, extension.name());
            let message = extension.extendee().trim_start_matches('.').to_owned();
            let numbers = self.index.messages.entry(message).or_default();
            numbers.insert(extension.number(), self.file.to_owned());
        }
    }
}
