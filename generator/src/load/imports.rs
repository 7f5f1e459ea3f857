//! What to do about an import that is not found.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;

use crate::load::inputs::Inputs;
use crate::load::{in_folder, protos};
use crate::source::Source;
use crate::suggest;

/// What to do about an import that a source has, and no include folder.
pub(super) fn missing(name: &str, source: Option<&Source>, inputs: &Inputs) -> String {
    if let Some(known) = built_in_like(name) {
        return format!("did you mean `{known}`?");
    }
    let folder = source.and_then(|source| folder_above(Path::new(source.name()), name));
    let (what, folder) = match folder {
        Some(folder) => (
            format!("there is a `{name}` in `{folder}`: add that folder"),
            folder,
        ),
        None => (
            format!("add the folder that `{name}` is relative to"),
            "DIR".to_owned(),
        ),
    };
    format!(
        "imports are looked up in {}; {what},\nwith `-I {folder}`, with `includes` in wireloom.toml, or with \
         `.include(\"{folder}\")` in build.rs",
        inputs.shown()
    )
}

/// The folder above a file that a name is relative to, as people would write it.
fn folder_above(file: &Path, name: &str) -> Option<String> {
    let mut folders: Vec<PathBuf> = file.ancestors().skip(1).map(Path::to_owned).collect();
    if file.is_relative() {
        // `a/b.proto` is in `a`, which is in the working directory, which is in `..`.
        let above = env::current_dir().map_or(0, |here| here.ancestors().count() - 1);
        let mut parents = PathBuf::new();
        for _ in 0..above {
            parents.push("..");
            folders.push(parents.clone());
        }
    }
    folders
        .into_iter()
        .map(|folder| match folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => folder,
        })
        .find(|folder| in_folder(folder, name).is_file())
        .map(|folder| folder.display().to_string().replace('\\', "/"))
}

/// The file that needs no include folder, and whose name is like an unknown one.
fn built_in_like(name: &str) -> Option<String> {
    let pool = DescriptorPool::global();
    let files: Vec<String> = pool
        .files()
        .map(|file| file.name().to_owned())
        .chain(protos().map(|(name, _)| name.to_owned()))
        .collect();
    let parts: Vec<(&str, &str)> = files
        .iter()
        .filter_map(|file| file.rsplit_once('/'))
        .collect();
    let Some((folder, file)) = name.rsplit_once('/') else {
        let (folder, file) = parts.iter().find(|(_, file)| *file == name)?;
        return Some(format!("{folder}/{file}"));
    };
    // Names in one folder are alike for their folder: both parts must be like the known ones.
    let folders: BTreeSet<&str> = parts.iter().map(|(folder, _)| *folder).collect();
    let folder = suggest::nearest(folder, folders)?;
    let stem = file.strip_suffix(".proto").unwrap_or(file);
    let stems = parts
        .iter()
        .filter(|(known, _)| *known == folder)
        .filter_map(|(_, file)| file.strip_suffix(".proto"));
    let stem = suggest::nearest(stem, stems)?;
    Some(format!("{folder}/{stem}.proto"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_like_one_of_a_built_in_file_has_a_suggestion() {
        for (name, known) in [
            ("wireloom/option.proto", "wireloom/options.proto"),
            ("wirelom/options.proto", "wireloom/options.proto"),
            (
                "google/protobuf/timestmp.proto",
                "google/protobuf/timestamp.proto",
            ),
            ("google/protobuff/any.proto", "google/protobuf/any.proto"),
            ("timestamp.proto", "google/protobuf/timestamp.proto"),
            (
                "google/api/field_behaviour.proto",
                "google/api/field_behavior.proto",
            ),
        ] {
            assert_eq!(built_in_like(name).as_deref(), Some(known), "{name}");
        }
    }

    #[test]
    fn a_name_like_none_of_the_built_in_files_has_no_suggestion() {
        for name in [
            "google/rpc/status.proto",
            "google/type/date.proto",
            "google/api/annotations.proto",
            "wireloom/clock.proto",
            "clock.proto",
        ] {
            assert_eq!(built_in_like(name), None, "{name}");
        }
    }

    #[test]
    fn the_folder_above_is_the_nearest_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("p/q/r")).unwrap();
        std::fs::create_dir_all(at("p/c")).unwrap();
        std::fs::write(at("p/c/m.proto"), "").unwrap();
        let found = folder_above(&at("p/q/r/a.proto"), "c/m.proto");
        assert_eq!(found, Some(at("p").display().to_string()));
        assert_eq!(folder_above(&at("p/q/r/a.proto"), "m.proto"), None);
    }

    #[test]
    fn the_folder_above_a_relative_path_may_be_above_the_working_directory() {
        // Unit tests run in the folder of their package.
        assert_eq!(
            folder_above(Path::new("src/lib.rs"), "src/lib.rs").as_deref(),
            Some(".")
        );
        assert_eq!(
            folder_above(Path::new("src/lib.rs"), "generator/Cargo.toml").as_deref(),
            Some("..")
        );
    }
}
