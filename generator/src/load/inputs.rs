//! The protos that were named, as the names that imports would use.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;
use crate::load::Sources;
use crate::suggest;
use crate::syntax::Written;

/// How far above a path that is missing a proto like it is looked for, in folders.
const FOLDERS_ABOVE: usize = 3;
/// How far below the folder that is there.
const FOLDERS_BELOW: usize = 3;

/// The protos to load, found on disk.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// The names of the protos, relative to the include folder they are in, in order and once each.
    pub(super) names: Vec<String>,
    /// The folders that imports are looked up in.
    pub(super) includes: Vec<PathBuf>,
    /// The folders that were listed to find protos.
    pub(super) folders: Vec<PathBuf>,
}

/// Finds the protos that were named.
///
/// A path is a file, a folder with protos at any depth, or a name in one of the include folders.
pub(super) fn find(sources: &Sources) -> Result<Inputs, Error> {
    if sources.protos.is_empty() {
        return Err(Error::new("no protos were named").with_help(
            "name at least one, or set `protos` in the `[generate]` table of wireloom.toml",
        ));
    }
    let mut inputs = Inputs {
        includes: includes(sources)?,
        ..Inputs::default()
    };
    for path in &sources.protos {
        if path.is_dir() {
            inputs.add_folder(path)?;
        } else if path.exists() {
            inputs.add_file(path)?;
        } else if let Some(name) = inputs.name_in_includes(path) {
            inputs.add_name(name);
        } else {
            return Err(inputs.missing(path, sources.listed.get(path)));
        }
    }
    if inputs.names.is_empty() {
        let folders: Vec<String> = sources
            .protos
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        return Err(Error::new(format!(
            "there is no .proto file in `{}`",
            folders.join("`, `")
        )));
    }
    Ok(inputs)
}

/// The include folders: the ones that were named, or else the folders of the protos.
fn includes(sources: &Sources) -> Result<Vec<PathBuf>, Error> {
    if let Some(missing) = sources.includes.iter().find(|folder| !folder.is_dir()) {
        return Err(Error::new(format!(
            "there is no folder `{}` to look imports up in",
            missing.display()
        ))
        .with_help(
            "the include folders are the ones of -I, `include()` or `includes` in wireloom.toml",
        ));
    }
    if !sources.includes.is_empty() {
        return Ok(sources.includes.clone());
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in &sources.protos {
        let folder = match path.parent() {
            _ if path.is_dir() => path,
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if !folders.iter().any(|known| known == folder) {
            folders.push(folder.to_owned());
        }
    }
    Ok(folders)
}

impl Inputs {
    /// Adds the protos in a folder, in the order of their names.
    fn add_folder(&mut self, folder: &Path) -> Result<(), Error> {
        let unreadable = |error| {
            Error::new(format!("cannot list the folder `{}`", folder.display())).with_cause(error)
        };
        let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(unreadable)?.collect();
        let mut paths: Vec<PathBuf> = entries
            .map_err(unreadable)?
            .iter()
            .map(fs::DirEntry::path)
            .collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.add_folder(&path)?;
            } else if path
                .extension()
                .is_some_and(|extension| extension == "proto")
            {
                self.add_file(&path)?;
            }
        }
        self.folders.push(folder.to_owned());
        Ok(())
    }

    /// Adds a proto by the name that it has in the include folders.
    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let name = self.name_of(path)?;
        self.add_name(name);
        Ok(())
    }

    fn add_name(&mut self, name: String) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    fn name_of(&self, path: &Path) -> Result<String, Error> {
        let absolute = path.canonicalize().map_err(|error| {
            Error::new(format!("cannot read `{}`", path.display())).with_cause(error)
        })?;
        for include in &self.includes {
            let Ok(folder) = include.canonicalize() else {
                continue;
            };
            let Some(name) = absolute.strip_prefix(folder).ok().and_then(slashed) else {
                continue;
            };
            // As with protoc, an import of this name would find the first file of that name in the include folders.
            let first = self
                .includes
                .iter()
                .map(|include| include.join(&name))
                .find(|found| found.is_file());
            if let Some(first) =
                first.filter(|first| first.canonicalize().is_ok_and(|first| first != absolute))
            {
                return Err(Error::new(format!(
                    "`{}` is hidden by `{}`: both are `{name}` in the include folders",
                    path.display(),
                    first.display()
                ))
                .with_help(format!(
                    "put the include folder `{}` first, or name the other file",
                    include.display()
                )));
            }
            return Ok(name);
        }
        let parent = path.parent().unwrap_or(Path::new("."));
        Err(Error::new(format!("`{}` is in no include folder", path.display())).with_help(format!(
            "the include folders are {}; add the one that the imports of the proto are relative to, such as `{}`",
            self.shown(),
            parent.display()
        )))
    }

    /// The name of a path that is not there as it is, but may be in an include folder.
    fn name_in_includes(&self, path: &Path) -> Option<String> {
        slashed(path).filter(|name| {
            self.includes
                .iter()
                .any(|include| include.join(name).is_file())
        })
    }

    /// The error for a path that is nowhere, which `wireloom.toml` may list.
    fn missing(&self, path: &Path, listed: Option<&Written<String>>) -> Error {
        let message = format!("there is no file `{}`", path.display());
        let (error, root, from) = match listed {
            Some(Written { spot, .. }) => (
                spot.error(message, ""),
                Path::new(&spot.place.file).parent(),
                "the folder of this file",
            ),
            None => (Error::new(message), None, "the working directory"),
        };
        let suggestion = proto_like(path, root.unwrap_or(Path::new("")))
            .map(|known| format!("did you mean `{known}`?\n"))
            .unwrap_or_default();
        error.with_help(format!(
            "{suggestion}a proto is a path relative to {from}, or a name in the include folders, which are {}",
            self.shown()
        ))
    }

    /// The include folders, for a message.
    pub(super) fn shown(&self) -> String {
        let folders: Vec<String> = self
            .includes
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        suggest::list(&folders)
    }
}

/// The proto near a path that is not there and is most like it, relative to `root`.
fn proto_like(path: &Path, root: &Path) -> Option<String> {
    let folder = path
        .ancestors()
        .skip(1)
        .take(FOLDERS_ABOVE)
        .map(|folder| match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        })
        .find(|folder| folder.is_dir())?;
    let mut found = Vec::new();
    protos_below(folder, FOLDERS_BELOW, &mut found);
    let shown = |path: &Path| {
        let path = path.strip_prefix(".").unwrap_or(path);
        let path = path.strip_prefix(root).unwrap_or(path);
        path.display().to_string().replace('\\', "/")
    };
    // The folders of two paths are alike for being near: only the names count.
    let name = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
    let names: Vec<String> = found.iter().filter_map(|path| name(path)).collect();
    let nearest = suggest::nearest(&name(path)?, names.iter().map(String::as_str))?;
    let found = found
        .iter()
        .find(|path| name(path).as_deref() == Some(nearest))?;
    Some(shown(found))
}

/// Collects the protos in a folder and in those below it, to a depth.
fn protos_below(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let hidden = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_none_or(|name| name.starts_with('.') || name == "target");
        if path.is_dir() && depth > 0 && !hidden {
            protos_below(&path, depth - 1, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
}

/// A relative path with slashes, as imports are written; `None` if it leads out or is not Unicode.
fn slashed(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}
