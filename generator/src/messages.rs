//! Descriptors to Rust messages, by prost-build.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use prost_build::{Config, Module, Service, ServiceGenerator};
use prost_types::FileDescriptorProto;

use crate::error::Error;
use crate::load::Loaded;
use crate::lower::docs;
use crate::model::Model;
use crate::modules::Modules;

/// What prost-build made.
pub(crate) struct Messages {
    /// The text of each package's messages and enums, by the module that the package becomes.
    pub(crate) modules: Modules,
    /// The types of requests and responses, where methods are.
    types: Rc<RefCell<Types>>,
}

/// The Rust types of a method's request and response, by the method's path.
type Types = HashMap<String, [String; 2]>;

/// The line that stands for a comment while prost-build works: it would escape what is rustdoc already.
const PLACEHOLDER: &str = "@wireloom-comment-";

/// A path in source info starts with this for a message of a file.
const MESSAGE: i32 = 4;
/// A path in source info starts with this for an enum of a file.
const ENUM: i32 = 5;

/// Generates the messages and enums of every file that code is generated for.
///
/// `customize` has the last word on how prost-build does it.
pub(crate) fn messages(
    loaded: &Loaded,
    customize: impl FnOnce(&mut Config),
) -> Result<Messages, Error> {
    let generate: HashSet<&str> = loaded.generate.iter().map(String::as_str).collect();
    let mut comments = Comments::default();
    let mut requests = Vec::new();
    for file in loaded.pool.files() {
        let mut proto = file.file_descriptor_proto().clone();
        let module = if generate.contains(file.name()) {
            comments.take_out(&mut proto);
            Module::from_protobuf_package_name(file.package_name())
        } else {
            // prost-build must know the types of every file, but nothing is to come of this one.
            proto.source_code_info = None;
            Module::from_parts([UNWANTED])
        };
        requests.push((module, proto));
    }

    let mut config = Config::new();
    config
        // Off by a setting: another package of the build may switch the feature on, and it drops comments.
        .format(false)
        .prost_path("::wireloom::prost")
        .prost_types_path("::wireloom::prost_types");
    customize(&mut config);
    let types = Rc::<RefCell<Types>>::default();
    config.service_generator(Box::new(TypesOfMethods(types.clone())));

    // prost-build panics on what it cannot do, such as two enum values of one name.
    let generated = catch_unwind(AssertUnwindSafe(|| config.generate(requests)))
        .map_err(|panic| {
            Error::new(format!(
                "prost-build cannot generate the messages: {}",
                text_of(&*panic)
            ))
        })?
        .map_err(|error| {
            Error::new("prost-build cannot generate the messages").with_cause(error)
        })?;

    let mut modules = Modules::new();
    for (module, text) in generated {
        if module.parts().ne([UNWANTED]) {
            let path = module.parts().map(str::to_owned).collect();
            modules.insert(path, comments.put_back(&text));
        }
    }
    Ok(Messages { modules, types })
}

impl Messages {
    /// Puts prost-build's paths of types into the model: an `extern_path` makes them others than lowering knows.
    pub(crate) fn resolve(&self, model: &mut Model) {
        let types = self.types.borrow();
        let services = model
            .packages
            .iter_mut()
            .flat_map(|package| &mut package.services);
        for method in services.flat_map(|service| &mut service.methods) {
            if let Some([request, response]) = types.get(&method.path) {
                method.request.rust_path.clone_from(request);
                method.response.rust_path.clone_from(response);
            }
        }
    }
}

/// Writes nothing for services, and notes their types.
struct TypesOfMethods(Rc<RefCell<Types>>);

impl ServiceGenerator for TypesOfMethods {
    fn generate(&mut self, service: Service, _: &mut String) {
        let dot = if service.package.is_empty() { "" } else { "." };
        let name = format!("{}{dot}{}", service.package, service.proto_name);
        let methods = service.methods.into_iter();
        self.0.borrow_mut().extend(methods.map(|method| {
            let path = format!("/{name}/{}", method.proto_name);
            (path, [method.input_type, method.output_type])
        }));
    }
}

/// A module that no package can become.
const UNWANTED: &str = "-";

/// The comments that were taken out of descriptors, by the number in their placeholder.
#[derive(Default)]
struct Comments(Vec<Vec<String>>);

impl Comments {
    /// Replaces the comments on messages and enums by placeholders.
    fn take_out(&mut self, file: &mut FileDescriptorProto) {
        let Some(info) = &mut file.source_code_info else {
            return;
        };
        for location in &mut info.location {
            let of_type = matches!(location.path.first(), Some(&MESSAGE | &ENUM));
            if !of_type {
                continue;
            }
            let leading = location.leading_comments.take();
            let trailing = location.trailing_comments.take();
            let lines = docs::rustdoc(leading.as_deref(), trailing.as_deref()).lines;
            if !lines.is_empty() {
                location.leading_comments = Some(self.placeholder(lines));
            }
            for comment in &mut location.leading_detached_comments {
                let lines = docs::plain(comment).lines().map(str::to_owned).collect();
                *comment = self.placeholder(lines);
            }
        }
    }

    fn placeholder(&mut self, lines: Vec<String>) -> String {
        self.0.push(lines);
        format!(" {PLACEHOLDER}{}", self.0.len() - 1)
    }

    /// Writes the comments where their placeholders are, and drops prost-build's header.
    fn put_back(&self, text: &str) -> String {
        let mut output = String::with_capacity(text.len());
        for line in text
            .lines()
            .skip_while(|line| line.starts_with("// This file is @generated"))
        {
            match self.of_line(line) {
                Some((before, lines)) => {
                    for comment in lines {
                        let space = if comment.is_empty() { "" } else { " " };
                        output.extend([before, space, comment, "\n"]);
                    }
                }
                None => output.extend([line, "\n"]),
            }
        }
        output
    }

    /// What stands before the placeholder that a line is, and the comment's lines.
    fn of_line<'a>(&self, line: &'a str) -> Option<(&'a str, &[String])> {
        let (before, number) = line.split_once(PLACEHOLDER)?;
        let before = before.trim_end();
        let lines = self.0.get(number.parse::<usize>().ok()?)?;
        before
            .trim_start()
            .starts_with("//")
            .then_some((before, lines))
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let string = panic.downcast_ref::<String>().map(String::as_str);
    string
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
}
