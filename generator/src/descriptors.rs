//! Descriptors that are embedded in the code, for reflection and validation: a file of Rust with one constant.
//!
//! A byte string rather than a binary file beside the code: it has the header that makes a file Wireloom's to replace, a
//! diff shows what changed, and `--check` compares it as it does all others.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor};

use crate::emit::{Files, HEADER};
use crate::error::Error;
use crate::load::Loaded;
use crate::modules::ROOT;

/// The name of the constant.
pub(crate) const NAME: &str = "FILE_DESCRIPTOR_SET";

/// The file of the constant: no package has a hyphen in its name.
const FILE: &str = "wireloom-descriptors.rs";

/// In `google.protobuf.FileDescriptorSet`, the number of `file`.
const SET_FILE: u32 = 1;

/// What of comments is embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comments {
    /// None, nor where anything is in its file.
    Without,
    /// All.
    With,
}

/// Adds the constant to the root of the module tree.
///
/// # Errors
///
/// If prost-reflect cannot read again what it wrote.
pub(crate) fn embed(loaded: &Loaded, comments: Comments, files: &mut Files) -> Result<(), Error> {
    let set = encode(loaded, comments)?;
    files.insert(FILE.to_owned(), text(&set));
    let root = files.entry(ROOT.to_owned()).or_default();
    let _ = write!(root, "\ninclude!(\"{FILE}\");\n");
    Ok(())
}

/// The files to generate code for and all that they import, imports before what imports them.
///
/// Encoded from the raw descriptors: prost-types has no room for custom options.
fn encode(loaded: &Loaded, comments: Comments) -> Result<Vec<u8>, Error> {
    let mut wanted = BTreeSet::new();
    let mut todo: Vec<FileDescriptor> = loaded.generated_files().collect();
    while let Some(file) = todo.pop() {
        if wanted.insert(file.name().to_owned()) {
            todo.extend(file.dependencies());
        }
    }
    let mut set = Vec::new();
    for file in loaded
        .pool
        .files()
        .filter(|file| wanted.contains(file.name()))
    {
        let encoded = match comments {
            Comments::With => file.encode_to_vec(),
            Comments::Without => without_source_info(&file)?,
        };
        prost_reflect::prost::encoding::bytes::encode(SET_FILE, &encoded, &mut set);
    }
    Ok(set)
}

fn without_source_info(file: &FileDescriptor) -> Result<Vec<u8>, Error> {
    let kind = DescriptorPool::global()
        .get_message_by_name("google.protobuf.FileDescriptorProto")
        .expect("the global pool has descriptor.proto");
    let raw = file.encode_to_vec();
    let mut message = DynamicMessage::decode(kind, raw.as_slice()).map_err(|error| {
        Error::new(format!(
            "the descriptor of `{}` cannot be embedded",
            file.name()
        ))
        .with_cause(error)
    })?;
    message.clear_field_by_name("source_code_info");
    Ok(message.encode_to_vec())
}

/// What a line of the byte string has at most, beside its indentation.
const WIDTH: usize = 96;

fn text(set: &[u8]) -> String {
    let mut text = format!(
        "{HEADER}
/// The descriptors of all protos of this tree and of what they import, custom options included: an encoded
/// `google.protobuf.FileDescriptorSet`.
#[allow(dead_code, unreachable_pub)]
pub const {NAME}: &[u8] = b\"\\
    "
    );
    let mut width = 0;
    for byte in set {
        let escaped = match byte {
            // A line of a byte string begins with its first character that is no space.
            b' ' if width == 0 => "\\x20".to_owned(),
            b'\'' => "'".to_owned(),
            byte => byte.escape_ascii().to_string(),
        };
        text.push_str(&escaped);
        width += escaped.len();
        if width >= WIDTH {
            text.push_str("\\\n    ");
            width = 0;
        }
    }
    text.push_str("\";\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Rust makes of the constant.
    fn value(text: &str) -> Vec<u8> {
        let file = syn::parse_file(text).unwrap();
        let Some(syn::Item::Const(item)) = file.items.first() else {
            panic!("no constant");
        };
        match &*item.expr {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::ByteStr(bytes),
                ..
            }) => bytes.value(),
            _ => panic!("no byte string"),
        }
    }

    #[test]
    fn the_constant_has_the_bytes_whatever_they_are() {
        let bytes: Vec<u8> = (0..=255).chain([b' '; 300]).chain(0..=255).collect();
        assert_eq!(value(&text(&bytes)), bytes);
        assert_eq!(value(&text(&[])), []);
    }
}
