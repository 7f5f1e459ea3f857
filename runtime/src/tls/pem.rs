//! PEM, from memory or from files, and files as they are read.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tonic::Status;

/// Where a PEM text is.
#[derive(Clone)]
pub(super) enum Pem {
    Text(Arc<[u8]>),
    File(PathBuf),
}

impl Pem {
    /// The text, as `files` has it.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a file that cannot be read.
    pub(super) fn text<'a>(&'a self, files: &'a Files) -> Result<&'a [u8], Status> {
        match self {
            Self::Text(text) => Ok(text),
            Self::File(path) => files.text(path),
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Text(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

/// What errors call it.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "the PEM text given ({} bytes)", text.len()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Without the text, which may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The contents of files at one moment.
pub(crate) struct Files(BTreeMap<PathBuf, io::Result<Vec<u8>>>);

impl Files {
    pub(crate) fn read(paths: &[PathBuf]) -> Self {
        let read = |path: &PathBuf| (path.clone(), std::fs::read(path));
        Self(paths.iter().map(read).collect())
    }

    /// Tells contents from others. Times and sizes of files do not: a file may be replaced within a clock's tick, or by
    /// the switch of a link, as Kubernetes does it.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, content) in &self.0 {
            let content = content.as_ref().map_err(io::Error::kind);
            (path, content).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// # Errors
    ///
    /// INVALID_ARGUMENT for a file that cannot be read.
    pub(crate) fn text(&self, path: &Path) -> Result<&[u8], Status> {
        match self.0.get(path) {
            Some(Ok(text)) => Ok(text),
            Some(Err(error)) => Err(Status::invalid_argument(format!(
                "cannot read {}: {error}; it must be a file that this process may read",
                path.display()
            ))),
            None => Err(Status::internal(format!(
                "{} is not among the files that are read",
                path.display()
            ))),
        }
    }
}
