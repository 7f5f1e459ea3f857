//! Where grpcio differs, and the rule that explains it: one of `client-calls.md`, or what gRPC's documents say.
//!
//! - [gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)
//! - [Status codes](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md)
//! - [HTTP statuses](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md)

use wireloom::{Code, MethodKind};

use super::KINDS;

/// A case that ends differently.
#[derive(Debug)]
pub struct Difference {
    pub case: &'static str,
    /// The kinds of methods that it is of.
    kinds: &'static [MethodKind],
    /// Our code and grpcio's.
    pub codes: [Code; 2],
    /// The rule that explains it.
    #[expect(dead_code, reason = "shown with what is wrong")]
    rule: &'static str,
}

impl Difference {
    /// Whether it is one of this case, with a method of this kind.
    pub fn is_of(&self, case: &str, kind: MethodKind) -> bool {
        self.case == case && self.kinds.contains(&kind)
    }
}

/// A difference of methods of all kinds.
const fn of_all(case: &'static str, codes: [Code; 2], rule: &'static str) -> Difference {
    Difference {
        case,
        kinds: &KINDS,
        codes,
        rule,
    }
}

/// A difference of methods with one response.
const fn of_one(case: &'static str, codes: [Code; 2], rule: &'static str) -> Difference {
    Difference {
        case,
        kinds: &[MethodKind::Unary, MethodKind::ClientStreaming],
        codes,
        rule,
    }
}

// That document's code is UNIMPLEMENTED, which gRPC's maintainers mean to make INTERNAL (grpc/grpc-node#2772).
const NO_MESSAGE: &str =
    "status codes: a method with one response fails where there is none; to grpcio it is None";
const CUT_SHORT: &str =
    "gRPC over HTTP/2: a response is whole messages, then trailers; grpcio drops half a message";

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    of_all(
        "a refused stream",
        [Code::Ok, Code::Unavailable],
        "rule 38: we send again at once what a server refused; to grpcio it is UNAVAILABLE",
    ),
    of_all(
        "two refused streams",
        [Code::Unavailable; 2],
        "rule 38: as above, once",
    ),
    of_all(
        "a refused stream, then the policy",
        [Code::Ok, Code::Unavailable],
        "rule 39: the transparent retry does not count; to grpcio the refusal is a failed attempt of the policy",
    ),
    of_all(
        "an unreadable pushback",
        [Code::Unavailable, Code::Internal],
        "rule 30: we end the call with the server's status; to grpcio the response is malformed",
    ),
    of_all(
        "two pushbacks in one",
        [Code::Unavailable, Code::Ok],
        "rule 30: repeated values mean not to retry; grpcio waits as long as one of them says",
    ),
    of_all(
        "a status code by its number",
        [Code::Ok, Code::InvalidArgument],
        "rule 6: a code may be an integer; to grpcio the config is invalid",
    ),
    of_all(
        "a hedge",
        [Code::Ok, Code::Unavailable],
        "rule 42: a non-fatal code sends the next hedge; grpcio's client does not hedge",
    ),
    of_one(
        "OK without a message",
        [Code::Internal, Code::Ok],
        NO_MESSAGE,
    ),
    of_one("nothing but OK", [Code::Internal, Code::Ok], NO_MESSAGE),
    of_one(
        "two messages",
        [Code::Internal, Code::DeadlineExceeded],
        "status codes: a method with one response fails where there are two; grpcio waits to the deadline (grpc/grpc#36769)",
    ),
    of_all(
        "a status that is no number",
        [Code::Unknown, Code::Internal],
        "status codes: an error in parsing the returned status is UNKNOWN",
    ),
    of_all(
        "two statuses",
        [Code::NotFound, Code::Ok],
        "gRPC over HTTP/2: trailers have one Status, and nothing says which of two holds: ours is the first, grpcio's the last",
    ),
    of_all(
        "a message that is not UTF-8",
        [Code::NotFound; 2],
        "gRPC over HTTP/2: what is invalid may become the replacement character; grpcio's bytes become Latin-1",
    ),
    of_all(
        "details that cannot be decoded",
        [Code::NotFound, Code::Internal],
        "HTTP statuses: a grpc-status that was provided must be used",
    ),
    of_all(
        "binary metadata that cannot be decoded",
        [Code::Ok, Code::Internal],
        "HTTP statuses: a grpc-status that was provided must be used; whoever reads the value sees that it is invalid",
    ),
    of_all("a frame cut short", [Code::Internal, Code::Ok], CUT_SHORT),
    of_all(
        "a frame's header cut short",
        [Code::Internal, Code::Ok],
        CUT_SHORT,
    ),
    of_all(
        "a frame with unknown flags",
        [Code::Internal, Code::Ok],
        "gRPC over HTTP/2: the Compressed-Flag is 0 or 1",
    ),
];
