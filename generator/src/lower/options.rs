//! Options of a service or a method to the syntax of a policy.

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

use crate::error::Error;
use crate::lower::places::Places;
use crate::source::Spot;
use crate::syntax::{
    Authorization, Code, HedgingPolicy, Policy, RetryPolicy, RetryThrottling, Written,
};
use crate::text_format::Step;

/// The option of methods.
pub(super) const METHOD: &str = "wireloom.method";
/// The option of services.
pub(super) const SERVICE: &str = "wireloom.service";

/// Reads the policy in an option, if it is set.
///
/// `path` is the one of the item's options in the descriptor.
pub(super) fn policy(
    options: &DynamicMessage,
    extension: &str,
    places: &Places<'_>,
    path: &[i32],
    errors: &mut Vec<Error>,
) -> Option<Policy> {
    let (descriptor, value) = options
        .extensions()
        .find(|(descriptor, _)| descriptor.full_name() == extension)?;
    let message = value.as_message()?;
    let option = [
        path,
        &[i32::try_from(descriptor.number()).unwrap_or_default()],
    ]
    .concat();
    let mut reader = Reader {
        places,
        option: &option,
        numbers: Vec::new(),
        steps: Vec::new(),
        errors,
    };
    Some(reader.policy(message))
}

/// A count of bytes; one beyond 63 bits is as good as none.
fn bytes(value: &Value) -> Option<i64> {
    value
        .as_u64()
        .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// Reads a message field by field, and knows where it is.
struct Reader<'a> {
    places: &'a Places<'a>,
    option: &'a [i32],
    numbers: Vec<i32>,
    steps: Vec<(String, usize)>,
    errors: &'a mut Vec<Error>,
}

impl Reader<'_> {
    fn policy(&mut self, message: &DynamicMessage) -> Policy {
        let mut policy = Policy::default();
        self.each_field(message, |reader, name, value| match name {
            "timeout" => policy.timeout = reader.written(value.as_str().map(str::to_owned)),
            "no_timeout" => policy.no_timeout = reader.written(value.as_bool()),
            "no_retry" => policy.no_retry = reader.written(value.as_bool()),
            "wait_for_ready" => policy.wait_for_ready = reader.written(value.as_bool()),
            "max_request_message_bytes" => {
                policy.max_request_message_bytes = reader.written(bytes(value));
            }
            "max_response_message_bytes" => {
                policy.max_response_message_bytes = reader.written(bytes(value));
            }
            "retry_policy" => {
                let inner = value.as_message().map(|message| reader.retry(message));
                policy.retry_policy = reader.written(inner);
            }
            "hedging_policy" => {
                let inner = value.as_message().map(|message| reader.hedging(message));
                policy.hedging_policy = reader.written(inner);
            }
            "retry_throttling" => {
                let inner = value.as_message().map(|message| reader.throttling(message));
                policy.retry_throttling = reader.written(inner);
            }
            "authorization" => {
                let inner = value
                    .as_message()
                    .map(|message| reader.authorization(message));
                policy.authorization = reader.written(inner);
            }
            _ => reader.unknown(name),
        });
        policy
    }

    fn authorization(&mut self, message: &DynamicMessage) -> Authorization {
        let mut authorization = Authorization::default();
        self.each_field(message, |reader, name, value| match name {
            "public" => authorization.public = reader.written(value.as_bool()),
            "authenticated" => authorization.authenticated = reader.written(value.as_bool()),
            "scopes" => authorization.scopes = reader.strings(name, value),
            "any_scopes" => authorization.any_scopes = reader.strings(name, value),
            "identities" => authorization.identities = reader.strings(name, value),
            _ => reader.unknown(name),
        });
        authorization
    }

    fn retry(&mut self, message: &DynamicMessage) -> RetryPolicy {
        let mut retry = RetryPolicy::default();
        self.each_field(message, |reader, name, value| match name {
            "max_attempts" => retry.max_attempts = reader.written(value.as_u32().map(i64::from)),
            "initial_backoff" => {
                retry.initial_backoff = reader.written(value.as_str().map(str::to_owned))
            }
            "max_backoff" => retry.max_backoff = reader.written(value.as_str().map(str::to_owned)),
            "backoff_multiplier" => retry.backoff_multiplier = reader.written(value.as_f64()),
            "retryable_status_codes" => retry.retryable_status_codes = reader.codes(name, value),
            _ => reader.unknown(name),
        });
        retry
    }

    fn hedging(&mut self, message: &DynamicMessage) -> HedgingPolicy {
        let mut hedging = HedgingPolicy::default();
        self.each_field(message, |reader, name, value| match name {
            "max_attempts" => hedging.max_attempts = reader.written(value.as_u32().map(i64::from)),
            "hedging_delay" => {
                hedging.hedging_delay = reader.written(value.as_str().map(str::to_owned))
            }
            "non_fatal_status_codes" => hedging.non_fatal_status_codes = reader.codes(name, value),
            _ => reader.unknown(name),
        });
        hedging
    }

    fn throttling(&mut self, message: &DynamicMessage) -> RetryThrottling {
        let mut throttling = RetryThrottling::default();
        self.each_field(message, |reader, name, value| match name {
            "max_tokens" => throttling.max_tokens = reader.written(value.as_u32().map(f64::from)),
            "token_ratio" => throttling.token_ratio = reader.written(value.as_f64()),
            _ => reader.unknown(name),
        });
        throttling
    }

    fn codes(&mut self, name: &str, value: &Value) -> Option<Written<Vec<Written<Code>>>> {
        self.list(name, value, |code| {
            Code::Number(code.as_enum_number().map_or(-1, i64::from))
        })
    }

    fn strings(&mut self, name: &str, value: &Value) -> Option<Written<Vec<Written<String>>>> {
        self.list(name, value, |text| {
            text.as_str().unwrap_or_default().to_owned()
        })
    }

    fn list<T>(
        &mut self,
        name: &str,
        value: &Value,
        read: impl Fn(&Value) -> T,
    ) -> Option<Written<Vec<Written<T>>>> {
        let list = value.as_list()?;
        let spot = self.spot();
        self.steps.pop();
        let mut values = Vec::new();
        for (index, value) in list.iter().enumerate() {
            self.steps.push((name.to_owned(), index));
            values.push(Written {
                value: read(value),
                spot: self.spot(),
            });
            self.steps.pop();
        }
        self.steps.push((name.to_owned(), 0));
        Some(Written {
            value: values,
            spot,
        })
    }

    /// Calls with each field that is set, while this stands at the field.
    fn each_field(
        &mut self,
        message: &DynamicMessage,
        mut read: impl FnMut(&mut Self, &str, &Value),
    ) {
        let fields: Vec<(FieldDescriptor, &Value)> = message.fields().collect();
        for (field, value) in fields {
            self.numbers
                .push(i32::try_from(field.number()).unwrap_or_default());
            self.steps.push((field.name().to_owned(), 0));
            read(self, field.name(), value);
            self.steps.pop();
            self.numbers.pop();
        }
    }

    /// Where this stands.
    fn spot(&self) -> Spot {
        let steps: Vec<Step<'_>> = self
            .steps
            .iter()
            .map(|(name, index)| (name.as_str(), *index))
            .collect();
        self.places.option_field(self.option, &self.numbers, &steps)
    }

    fn written<T>(&self, value: Option<T>) -> Option<Written<T>> {
        Some(Written {
            value: value?,
            spot: self.spot(),
        })
    }

    /// A descriptor set may be made with a newer `wireloom/options.proto` than this generator's.
    fn unknown(&mut self, name: &str) {
        let error = self.spot().error(
            format!("this version of Wireloom does not know the option field `{name}`"),
            "",
        );
        self.errors
            .push(error.with_help("update wireloom-build, or take the field out"));
    }
}
