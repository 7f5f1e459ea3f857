//! Status codes, by number and by name, and those that a policy may have.

use super::{Judge, Spelling};
use crate::model::StatusCode;
use crate::source::Spot;
use crate::suggest;
use crate::syntax::{self, Written};

/// A code of `google.rpc.Code`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code {
    proto: &'static str,
    rust: &'static str,
}

/// The codes, each at its number.
const CODES: [Code; 17] = [
    Code {
        proto: "OK",
        rust: "Ok",
    },
    Code {
        proto: "CANCELLED",
        rust: "Cancelled",
    },
    Code {
        proto: "UNKNOWN",
        rust: "Unknown",
    },
    Code {
        proto: "INVALID_ARGUMENT",
        rust: "InvalidArgument",
    },
    Code {
        proto: "DEADLINE_EXCEEDED",
        rust: "DeadlineExceeded",
    },
    Code {
        proto: "NOT_FOUND",
        rust: "NotFound",
    },
    Code {
        proto: "ALREADY_EXISTS",
        rust: "AlreadyExists",
    },
    Code {
        proto: "PERMISSION_DENIED",
        rust: "PermissionDenied",
    },
    Code {
        proto: "RESOURCE_EXHAUSTED",
        rust: "ResourceExhausted",
    },
    Code {
        proto: "FAILED_PRECONDITION",
        rust: "FailedPrecondition",
    },
    Code {
        proto: "ABORTED",
        rust: "Aborted",
    },
    Code {
        proto: "OUT_OF_RANGE",
        rust: "OutOfRange",
    },
    Code {
        proto: "UNIMPLEMENTED",
        rust: "Unimplemented",
    },
    Code {
        proto: "INTERNAL",
        rust: "Internal",
    },
    UNAVAILABLE,
    Code {
        proto: "DATA_LOSS",
        rust: "DataLoss",
    },
    Code {
        proto: "UNAUTHENTICATED",
        rust: "Unauthenticated",
    },
];

/// The code that the generator's defaults retry.
pub(super) const UNAVAILABLE: Code = Code {
    proto: "UNAVAILABLE",
    rust: "Unavailable",
};

impl Code {
    pub(super) fn is_ok(self) -> bool {
        self.proto == CODES[0].proto
    }

    pub(super) fn status_code(self) -> StatusCode {
        StatusCode {
            proto: self.proto.to_owned(),
            rust: format!("::wireloom::Code::{}", self.rust),
        }
    }
}

impl Judge<'_> {
    pub(super) fn codes(
        &mut self,
        name: &str,
        field: &Written<Vec<Written<syntax::Code>>>,
    ) -> Vec<StatusCode> {
        let mut codes: Vec<StatusCode> = Vec::new();
        for code in &field.value {
            match parse(&code.value) {
                Ok(found) if found.is_ok() => {
                    let name = self.named(name);
                    let message = format!("`{name}` cannot have OK: it is no failure");
                    self.reject(&code.spot, message, "must be the code of a failure");
                }
                Ok(found) => {
                    let found = found.status_code();
                    if !codes.contains(&found) {
                        codes.push(found);
                    }
                }
                Err(help) => {
                    let shown = match &code.value {
                        syntax::Code::Number(number) => number.to_string(),
                        syntax::Code::Name(name) => name.clone(),
                    };
                    let message = match self.spelling {
                        Spelling::Options => format!("there is no status code `{shown}`"),
                        Spelling::ServiceConfig(_) => {
                            let name = self.named(name);
                            format!("`{name}` has `{shown}`, which is no status code")
                        }
                    };
                    let error = code.spot.error(message, "no such code");
                    self.errors.push(error.with_help(help));
                }
            }
        }
        codes
    }

    /// The codes of a retry policy; `None` where it has none, and so counts as no policy.
    pub(super) fn retryable_status_codes(
        &mut self,
        policy: &syntax::RetryPolicy,
        spot: &Spot,
    ) -> Option<Vec<StatusCode>> {
        const NAME: &str = "retryable_status_codes";
        let field = &policy.retryable_status_codes;
        let is_empty = field.as_ref().is_none_or(|codes| codes.value.is_empty());
        // Files that are published have such policies, too; they count as none, once all else in them is judged.
        if is_empty && matches!(self.spelling, Spelling::ServiceConfig(_)) {
            return None;
        }
        let codes = self.required(NAME, field, spot)?;
        if is_empty {
            let message = format!("`{}` must not be empty", self.named(NAME));
            let must = "must have at least one code, such as UNAVAILABLE";
            self.reject(&codes.spot, message, must);
        }
        Some(self.codes(NAME, codes))
    }
}

/// Finds a code; the error says which there are.
pub(super) fn parse(code: &syntax::Code) -> Result<Code, String> {
    let found = match code {
        syntax::Code::Number(number) => usize::try_from(*number)
            .ok()
            .and_then(|number| CODES.get(number)),
        syntax::Code::Name(name) => CODES
            .iter()
            .find(|code| code.proto.eq_ignore_ascii_case(name)),
    };
    found.copied().ok_or_else(|| match code {
        syntax::Code::Number(_) => "status codes go from 1 to 16".to_owned(),
        syntax::Code::Name(name) => suggest::help(
            &name.to_ascii_uppercase(),
            CODES.iter().skip(1).map(|code| code.proto),
            "code",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_in_any_case() {
        let code = parse(&syntax::Code::Name("unavailable".to_owned())).unwrap();
        assert_eq!(code.status_code().rust, "::wireloom::Code::Unavailable");
    }

    #[test]
    fn a_number_is_its_code() {
        assert_eq!(
            parse(&syntax::Code::Number(14)).unwrap().proto,
            "UNAVAILABLE"
        );
        assert!(parse(&syntax::Code::Number(17)).is_err());
        assert!(parse(&syntax::Code::Number(-1)).is_err());
    }

    #[test]
    fn a_wrong_name_has_a_suggestion() {
        let help = parse(&syntax::Code::Name("UNAVAILBLE".to_owned())).unwrap_err();
        assert_eq!(help, "did you mean `UNAVAILABLE`?");
    }
}
