//! What service configs say to no effect: it is allowed, and almost surely a slip.

use prost_reflect::{FileDescriptor, ServiceDescriptor};

use crate::service_config::{Name, ServiceConfig};
use crate::source::Spot;
use crate::suggest;

/// The fields that are not read, and the methods that their services lack. A file may name services that the protos lack:
/// those are of other protos.
pub(super) fn of_service_configs(
    configs: &[ServiceConfig],
    files: &[FileDescriptor],
) -> Vec<String> {
    let services: Vec<_> = files.iter().flat_map(FileDescriptor::services).collect();
    let notes = configs.iter().flat_map(|config| {
        let unread = config.unread.iter();
        let unread = unread.map(|note| at(&note.value, &note.spot));
        let names = config.methods.iter().flat_map(|entry| &entry.names);
        let names =
            names.filter_map(|name| Some(at(&unknown(&name.value, &services)?, &name.spot)));
        unread.chain(names).collect::<Vec<_>>()
    });
    notes.collect()
}

fn unknown(name: &Name, services: &[ServiceDescriptor]) -> Option<String> {
    let Name::Method(service, method) = name else {
        return None;
    };
    let mut services = services.iter();
    let descriptor = services.find(|descriptor| descriptor.full_name() == service)?;
    let methods: Vec<_> = descriptor.methods().collect();
    if methods.iter().any(|known| known.name() == method) {
        return None;
    }
    let known = methods.iter().map(|known| known.name());
    let help = suggest::help(method, known, "method");
    Some(format!("`{service}` has no method `{method}`: {help}"))
}

fn at(note: &str, spot: &Spot) -> String {
    format!("{note} ({}:{})", spot.place.file, spot.place.line)
}
