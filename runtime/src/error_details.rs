//! Errors that say more than a code and a message: `google.rpc.Status` with its details ([the richer error model]).
//!
//! [`StatusExt`] makes a [`Status`](crate::Status) with details of the types here, and reads those of one that came in;
//! [`ErrorDetails`] has one of each at most. On the wire they are `grpc-status-details-bin`, as other languages have it. These
//! are the types of the crate tonic-types.
//!
//! ```
//! use wireloom::{Code, Status, error_details::{ErrorDetails, StatusExt}};
//!
//! // In a handler:
//! let details = ErrorDetails::with_bad_request_violation("name", "must not be empty");
//! let status = Status::with_error_details(Code::InvalidArgument, "who is it?", details);
//!
//! // What a caller makes of it:
//! let details = status.get_error_details();
//! let violations = &details.bad_request().expect("it was just put in").field_violations;
//! assert_eq!(violations[0].field, "name");
//! ```
//!
//! [the richer error model]: https://grpc.io/docs/guides/error/#richer-error-model

pub use tonic_types::{
    BadRequest, DebugInfo, ErrorDetail, ErrorDetails, ErrorInfo, FieldViolation, Help, HelpLink,
    LocalizedMessage, PreconditionFailure, PreconditionViolation, QuotaFailure, QuotaViolation,
    RequestInfo, ResourceInfo, RetryInfo, RpcStatusExt, Status as RpcStatus, StatusExt,
};
