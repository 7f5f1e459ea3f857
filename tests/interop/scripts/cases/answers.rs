//! Answers and errors as a gRPC server sends them, and those that fit no kind of method.

use wireloom::Code;
use wireloom_peer::Act;

use super::{Case, plain, retried, unavailable};

const ERROR: [(&str, &str); 5] = [
    ("grpc-message", "no such caf%C3%A9"),
    ("grpc-status-details-bin", "CAU"),
    ("cost", "3"),
    ("cost", "4"),
    ("trace-bin", "AAH/"),
];

pub fn cases() -> Vec<Case> {
    let headers = Act::read().headers();
    let headers_with_metadata = Act::read().headers_with(&[("cost", "5"), ("left-bin", "AQ")]);
    vec![
        plain("an answer", Act::read().answer()),
        plain(
            "an answer with metadata",
            headers_with_metadata
                .clone()
                .message("answer")
                .trailers_with(0, &ERROR[2..]),
        ),
        plain("no policy", unavailable()),
        plain(
            "an error with metadata",
            Act::read().trailers_only(Code::NotFound, &ERROR),
        ),
        plain(
            "an error with metadata, after headers with metadata",
            headers_with_metadata.trailers_with(Code::NotFound, &ERROR),
        ),
        plain(
            "an error with metadata, after a message",
            headers
                .clone()
                .message("answer")
                .trailers_with(Code::NotFound, &ERROR),
        ),
        retried("a stall", vec![Act::stall()]),
        plain("OK without a message", headers.clone().trailers(0)),
        plain(
            "nothing but OK",
            Act::read().trailers_only(0, &[("cost", "3")]),
        ),
        plain(
            "two messages",
            headers.message("one").message("two").trailers(0),
        ),
    ]
}
