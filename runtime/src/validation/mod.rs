//! Requests held to the rules of their protos: `buf.validate` ([protovalidate]), and `google.api.field_behavior = REQUIRED`
//! ([AIP-203]).
//!
//! [`Server::validation`](crate::Server::validation) switches it on. Messages are decoded once more for it, by their
//! descriptors: rules in CEL can only be evaluated so, and methods without rules pay nothing.
//!
//! [protovalidate]: https://protovalidate.com
//! [AIP-203]: https://google.aip.dev/203

mod compiled;
mod descriptors;
mod required;
mod texts;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use prost_protovalidate::{CompilationError, Error, ValidationOption, Validator, ValidatorOption};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor};
use tonic::{Code, Status};

use self::{
    descriptors::{Linked, Sets},
    required::Required,
    texts::Texts,
};
use crate::{
    error_details::{ErrorDetails, FieldViolation, StatusExt as _},
    frame,
};

/// The rules of all methods that have any.
#[derive(Debug, Default)]
pub(crate) struct Validation {
    methods: HashMap<String, Arc<RequestRules>>,
}

/// The rules that hold for the requests of a method.
pub(crate) struct RequestRules {
    request: MessageDescriptor,
    texts: Texts,
    shared: Arc<Rules>,
}

struct Rules {
    validator: Validator,
    required: Required,
}

impl Validation {
    /// The rules of these services, by the descriptor set that each has (empty if it has none), and `more` for those without.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no descriptor set or cannot be linked, for a service that none of them has, and for a rule that cannot be
    /// compiled.
    pub(crate) fn new<'a>(
        services: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
        more: &[&'a [u8]],
    ) -> Result<Self, Status> {
        let own = services.clone().map(|(_, own)| own);
        let sets = Sets::decode(more.iter().copied(), own)?;
        let mut by_set = BTreeMap::<usize, Vec<&str>>::new();
        for (name, own) in services {
            let set = sets.of_service(name, own).ok_or_else(|| {
                Status::invalid_argument(format!(
                    "requests to {name} cannot be validated without its descriptors: embed them \
                     (`descriptors = true` under `[generate]`)"
                ))
            })?;
            by_set.entry(set).or_default().push(name);
        }
        let mut validation = Self::default();
        for (set, services) in by_set {
            let linked = sets.link(set)?;
            for left_out in &linked.left_out {
                left_out.tell(&services);
            }
            validation.add(&services, linked)?;
        }
        Ok(validation)
    }

    /// Adds the rules of services of these descriptors.
    fn add(&mut self, services: &[&str], descriptors: Linked<'_>) -> Result<(), Status> {
        let Linked { pool, encoded, .. } = descriptors;
        let set = ValidatorOption::AdditionalDescriptorSetBytes(encoded);
        let shared = Arc::new(Rules {
            validator: Validator::with_options(&[set]),
            required: Required::of(&pool),
        });
        let mut checked = HashSet::new();
        let services = services.iter().map(|name| pool.get_service_by_name(name));
        for service in services.flatten() {
            for method in service.methods() {
                let request = method.input();
                if let Some(rules) = RequestRules::compile(request, &shared, &mut checked)? {
                    let path = format!("/{}/{}", service.full_name(), method.name());
                    self.methods.insert(path, Arc::new(rules));
                }
            }
        }
        Ok(())
    }

    /// The rules for the requests of the method with this path, if it has any.
    pub(crate) fn of(&self, path: &str) -> Option<&Arc<RequestRules>> {
        self.methods.get(path)
    }
}

impl RequestRules {
    /// Compiles the rules of all messages that may be in a request, if there are any; those that have been `checked` are well.
    fn compile(
        request: MessageDescriptor,
        shared: &Arc<Rules>,
        checked: &mut HashSet<String>,
    ) -> Result<Option<Self>, Status> {
        let mut any = false;
        let mut texts = Texts::default();
        for message in reachable(&request) {
            any |= has_rules(&message) || shared.required.concerns(&message);
            if checked.insert(message.full_name().to_owned()) {
                compiled::check(&message, &shared.validator)?;
            }
            texts.add(&message);
        }
        let shared = Arc::clone(shared);
        Ok(any.then_some(Self {
            request,
            texts,
            shared,
        }))
    }

    /// Holds an encoded request to the rules. Of one that [is large](MAX_FULLY_TOLD), the first violation found is told alone.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT with `google.rpc.BadRequest`, which has each violation: the path of the field, what must hold, and
    /// the id of the rule as its reason. INTERNAL where a rule cannot be evaluated, and for what cannot be decoded: the handler's
    /// type may leave out what cannot, such as an extension, and be decoded all the same.
    pub(crate) fn check(&self, message: Bytes) -> Result<(), Status> {
        let most = match message.len() > MAX_FULLY_TOLD {
            true => 1,
            false => usize::MAX,
        };
        let message = DynamicMessage::decode(self.request.clone(), message)
            .map_err(|error| frame::undecodable(&error))?;
        let mut violations = self.shared.required.violations(&message, most);
        if violations.len() >= most {
            return Err(refusal(violations));
        }
        let fail_fast = (most == 1).then_some(ValidationOption::FailFast);
        match evaluate(&self.shared.validator, &message, fail_fast.as_slice()) {
            Ok(()) => {}
            Err(Error::Validation(error)) => {
                let broken = error.violations().iter().map(|violation| {
                    let description = match violation.message() {
                        "" => self.texts.of(violation, &self.request),
                        message => Some(message),
                    };
                    let id = violation.rule_id();
                    FieldViolation {
                        reason: id.to_owned(),
                        ..FieldViolation::new(violation.field_path(), description.unwrap_or(id))
                    }
                });
                required::extend(&mut violations, broken);
            }
            // What exactly is wrong with a rule is none of the caller's business.
            Err(error) => {
                tracing::error!(target: "wireloom", request = self.request.full_name(), %error, "cannot validate");
                return Err(Status::internal("the request could not be validated"));
            }
        }
        match violations.is_empty() {
            true => Ok(()),
            false => Err(refusal(violations)),
        }
    }
}

/// Holds a message to its rules.
///
/// # Errors
///
/// As the validator's; `cel` panics at what it does not have yet, which is a compilation error here.
fn evaluate(
    validator: &Validator,
    message: &DynamicMessage,
    options: &[ValidationOption],
) -> Result<(), Error> {
    let evaluated = AssertUnwindSafe(|| validator.validate_with(message, options));
    catch_unwind(evaluated).unwrap_or_else(|_| {
        let cause = "one has an expression that is not supported".to_owned();
        Err(CompilationError { cause }.into())
    })
}

/// The largest request, in bytes, whose violations are all looked for: one may break a rule with each two of its bytes, and a
/// violation takes a kilobyte.
const MAX_FULLY_TOLD: usize = 16 << 10;

/// The most violations that are told, and of each path and description the most bytes: a request may break a rule as often as
/// it likes, and all that is told goes into one header.
const MAX_TOLD: usize = 16;
const MAX_TEXT: usize = 128;

/// The status for violations, of which there is one at least.
fn refusal(mut violations: Vec<FieldViolation>) -> Status {
    let more = violations.len().saturating_sub(MAX_TOLD);
    violations.truncate(MAX_TOLD);
    for violation in &mut violations {
        shorten(&mut violation.field);
        shorten(&mut violation.description);
    }
    let said = violations.iter().map(|violation| {
        let FieldViolation {
            field, description, ..
        } = violation;
        match field.as_str() {
            "" => description.clone(),
            field => format!("{field}: {description}"),
        }
    });
    let mut message = said.take(3).collect::<Vec<_>>().join("; ");
    match violations.len().saturating_sub(3) + more {
        0 => {}
        untold => message.push_str(&format!(" (and {untold} more)")),
    }
    let details = ErrorDetails::with_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

fn shorten(text: &mut String) {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rfind(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
}

/// A message and all that its fields lead to.
fn reachable(message: &MessageDescriptor) -> impl Iterator<Item = MessageDescriptor> {
    let mut found = BTreeMap::new();
    let mut todo = vec![message.clone()];
    while let Some(message) = todo.pop() {
        if found.contains_key(message.full_name()) {
            continue;
        }
        todo.extend(message.fields().filter_map(|field| match field.kind() {
            Kind::Message(message) => Some(message),
            _ => None,
        }));
        found.insert(message.full_name().to_owned(), message);
    }
    found.into_values()
}

/// Whether a message has rules of `buf.validate`, beside those of the messages in it.
fn has_rules(message: &MessageDescriptor) -> bool {
    let says = |options: DynamicMessage| {
        options
            .extensions()
            .any(|(extension, _)| extension.full_name().starts_with("buf.validate."))
    };
    says(message.options())
        || message.fields().any(|field| says(field.options()))
        || message.oneofs().any(|oneof| says(oneof.options()))
}

impl fmt::Debug for RequestRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestRules")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}
