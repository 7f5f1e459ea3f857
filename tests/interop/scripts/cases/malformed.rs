//! Responses that no gRPC server should send.

use wireloom_peer::{Act, Step, fields};

use super::{Case, plain};

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const NOT_FOUND: (&str, &str) = ("grpc-status", "5");

pub fn cases() -> Vec<Case> {
    let mut cases = heads();
    cases.extend(tails());
    cases.extend(bodies());
    cases
}

/// Nothing but a head.
fn heads() -> Vec<Case> {
    let head = |name, http_status, more: &[_]| {
        let head = Step::Headers {
            http_status,
            fields: fields(more),
            end_stream: true,
        };
        plain(name, Act::read().step(head))
    };
    vec![
        head("HTTP 400", 400, &[]),
        head("HTTP 404", 404, &[]),
        head("HTTP 503", 503, &[]),
        head("HTTP 500 with a status", 500, &[GRPC, NOT_FOUND]),
        head(
            "a head that is not gRPC's",
            200,
            &[("content-type", "text/html")],
        ),
        head("a head without a status", 200, &[GRPC]),
    ]
}

/// A message and an end. They come apart: where an end is malformed, grpcio may throw away a message that came with it.
fn tails() -> Vec<Case> {
    let ended = |name, end| {
        let message = Act::read().headers().message("answer").wait(100);
        plain(name, message.step(end))
    };
    let tail = |name, trailers: &[_]| ended(name, Step::Trailers(fields(trailers)));
    vec![
        ended("no trailers", Step::End),
        tail("trailers without a status", &[("cost", "3")]),
        tail("a status that is no number", &[("grpc-status", "soon")]),
        tail("a status that gRPC does not know", &[("grpc-status", "99")]),
        tail("two statuses", &[NOT_FOUND, ("grpc-status", "0")]),
        tail(
            "a message that cannot be decoded",
            &[NOT_FOUND, ("grpc-message", "50%zz")],
        ),
        tail(
            "a message that is not UTF-8",
            &[NOT_FOUND, ("grpc-message", "%ff")],
        ),
        tail(
            "details that cannot be decoded",
            &[NOT_FOUND, ("grpc-status-details-bin", "!")],
        ),
        tail(
            "binary metadata that cannot be decoded",
            &[("grpc-status", "0"), ("cost-bin", "!")],
        ),
    ]
}

/// A body that is no message, then OK.
fn bodies() -> Vec<Case> {
    let body = |name, data: &[u8]| {
        let data = Step::Data(data.to_vec());
        plain(name, Act::read().headers().step(data).trailers(0))
    };
    vec![
        body("a frame cut short", &[0, 0, 0, 0, 9, 1]),
        body("a frame's header cut short", &[0, 0, 0]),
        body("a frame with unknown flags", &[9, 0, 0, 0, 0]),
        body("a compressed frame of no compression", &[1, 0, 0, 0, 0]),
        body("a message over the limit", &[0, 0xff, 0, 0, 0]),
        body("a message that is not protobuf", &[0, 0, 0, 0, 1, 0xff]),
    ]
}
