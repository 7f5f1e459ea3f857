//! Protos to descriptors with protox: no `protoc` needed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::error::Error;
use crate::load::{
    Loaded, OPTIONS_NAME, OPTIONS_TEXT, RULES, Sources, in_folder, inputs, problem, read_source,
    to_generate,
};
use crate::source::{Columns, Source};

/// Compiles the protos that were named.
pub(super) fn load(sources: &Sources) -> Result<Loaded, Error> {
    let inputs = inputs::find(sources)?;
    let files = Files::default();
    let mut resolver = ChainFileResolver::new();
    // Before the include folders, so that an older copy there cannot take fields away from this generator.
    resolver.add(CarriedResolver {
        name: OPTIONS_NAME,
        text: OPTIONS_TEXT,
        files: files.clone(),
    });
    resolver.add(FolderResolver {
        folders: inputs.includes.clone(),
        files: files.clone(),
    });
    // After them: who has a copy means that one.
    for (name, text) in RULES {
        resolver.add(CarriedResolver {
            name,
            text,
            files: files.clone(),
        });
    }
    resolver.add(GoogleFileResolver::new());

    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    let mut problems: Vec<Error> = Vec::new();
    for name in &inputs.names {
        if let Err(error) = compiler.open_file(name) {
            let unreadable = files.lock().unreadable.take();
            let problem =
                unreadable.unwrap_or_else(|| problem::report(&error, &files.texts(), &inputs));
            // Two protos may import the one that is wrong.
            if problems
                .iter()
                .all(|known| known.to_string() != problem.to_string())
            {
                problems.push(problem);
            }
        }
    }
    if let Some(error) = Error::all(problems) {
        return Err(error);
    }

    let pool = compiler.descriptor_pool();
    Ok(Loaded {
        generate: to_generate(&pool, None),
        pool,
        read: [files.paths(), inputs.folders].concat(),
        texts: files.texts(),
        columns: Columns::Bytes,
    })
}

/// The files that were opened, shared with what opens them.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<Opened>>);

#[derive(Default)]
struct Opened {
    /// The path, where there is one, and the text of each file, by the name that imports use.
    files: BTreeMap<String, (Option<PathBuf>, Source)>,
    /// Why a file that is there could not be read.
    unreadable: Option<Error>,
}

impl Files {
    fn lock(&self) -> MutexGuard<'_, Opened> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: &str, path: Option<PathBuf>, source: Source) {
        self.lock().files.insert(name.to_owned(), (path, source));
    }

    fn texts(&self) -> BTreeMap<String, Source> {
        self.lock()
            .files
            .iter()
            .map(|(name, (_, source))| (name.clone(), source.clone()))
            .collect()
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.lock()
            .files
            .values()
            .filter_map(|(path, _)| path.clone())
            .collect()
    }
}

/// Finds a file that the generator carries.
struct CarriedResolver {
    name: &'static str,
    text: &'static str,
    files: Files,
}

impl FileResolver for CarriedResolver {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name != self.name {
            return Err(protox::Error::file_not_found(name));
        }
        self.files.add(name, None, Source::new(name, self.text));
        File::from_source(name, self.text)
    }
}

/// Finds files in the include folders, and remembers them.
struct FolderResolver {
    folders: Vec<PathBuf>,
    files: Files,
}

impl FileResolver for FolderResolver {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        for folder in &self.folders {
            let path = in_folder(folder, name);
            let source = match read_source(&path) {
                Ok(source) => source,
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) => {
                    self.files.lock().unreadable = Some(unreadable(&path, error));
                    return Err(protox::Error::file_not_found(name));
                }
            };
            self.files.add(name, Some(path), source.clone());
            return File::from_source(name, source.text());
        }
        Err(protox::Error::file_not_found(name))
    }
}

/// Why a file that is there cannot be read.
fn unreadable(path: &Path, error: io::Error) -> Error {
    if error.kind() == ErrorKind::InvalidData
        && let Ok(bytes) = fs::read(path)
        && let Err(invalid) = std::str::from_utf8(&bytes)
    {
        // Up to there, the text is the file's, byte for byte.
        let at = invalid.valid_up_to();
        let source = Source::new(path.display().to_string(), String::from_utf8_lossy(&bytes));
        let stand_in = char::REPLACEMENT_CHARACTER.len_utf8();
        return Error::new(format!("byte 0x{:02x} is not UTF-8", bytes[at]))
            .at(&source, at..at + stand_in, "here")
            .with_help("protos are UTF-8: save the file in that encoding");
    }
    Error::new(format!("cannot read `{}`", path.display())).with_cause(error)
}
