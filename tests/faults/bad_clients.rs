//! The cases of gRPC's own clients that break the rules (`test/core/bad_client/tests` of grpc/grpc), each named after the
//! file that it is from: what a server makes of each, and that another client is served all the while.
//!
//! Where gRPC's C core is stricter than RFC 9113, which has undefined flags ignored, the RFC holds.

use wireloom_peer::raw::{
    ACK, END_HEADERS, END_STREAM, PREFACE, Raw, call, field, frame, head, kind, message, settings,
};

use crate::PATIENCE;
use crate::attacks::{HANGS, Siege, UNARY};

const MIB: isize = 1 << 20;

/// What a server says first to what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The connection ends, with or without GOAWAY.
    Ended,
    /// The stream ends.
    Reset,
    /// There is a response, whatever it says.
    Response,
    /// Nothing: the ping behind it is answered.
    None,
}

/// What the server says to a preface, empty settings and `bytes`; nothing only where nothing is `expected`.
async fn answer(siege: &Siege, bytes: &[u8], expected: Answer) -> Answer {
    let begun = [PREFACE, &settings(&[]), bytes].concat();
    answer_to_all(siege, &begun, expected).await
}

/// What the server says to `bytes`, a preface included.
async fn answer_to_all(siege: &Siege, bytes: &[u8], expected: Answer) -> Answer {
    let mut raw = Raw::connect(siege.address()).await.unwrap();
    // Where the server has ended the connection by then, it has said so.
    let _ = raw.send(bytes).await;
    let _ = raw.send(&frame(kind::PING, 0, 0, b"and this")).await;
    loop {
        let frame = tokio::time::timeout(PATIENCE, raw.frame()).await;
        let Ok(Some(frame)) = frame.expect("the server says nothing") else {
            return Answer::Ended;
        };
        match frame.kind {
            kind::GOAWAY => return Answer::Ended,
            kind::RST_STREAM => return Answer::Reset,
            kind::HEADERS => return Answer::Response,
            // It comes before what a handler answers.
            kind::PING if frame.flags & ACK != 0 && expected == Answer::None => {
                return Answer::None;
            }
            _ => {}
        }
    }
}

/// A server, and a client that is served while others break the rules.
async fn lay() -> Siege {
    Siege::lay(wireloom::Server::builder()).await
}

async fn assert_answers(siege: &Siege, cases: &[(&str, Vec<u8>, Answer)]) {
    for (name, bytes, expected) in cases {
        assert_eq!(answer(siege, bytes, *expected).await, *expected, "{name}");
    }
}

/// Asserts that the connection ends, be it that the client has to end it first: what it said is no whole frame.
async fn assert_comes_to_nothing(siege: &Siege, bytes: &[u8]) {
    let mut raw = Raw::connect(siege.address()).await.unwrap();
    let _ = raw.send(bytes).await;
    let _ = raw.finish().await;
    while let Ok(Some(frame)) = raw.frame().await {
        assert_ne!(frame.kind, kind::HEADERS, "{bytes:?}");
    }
}

/// A request without a message, with these fields besides, or instead.
fn request(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", UNARY),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in fields {
        match all.iter_mut().find(|(there, _)| there == name) {
            Some(there) => there.1 = value,
            None => all.push((name, value)),
        }
    }
    let block = all.iter().flat_map(|(name, value)| field(name, value));
    let block: Vec<_> = block.collect();
    frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

/// A stream that has begun, and this behind its head.
fn begun(then: &[u8]) -> Vec<u8> {
    let mut bytes = frame(kind::HEADERS, END_HEADERS, 1, &head(UNARY));
    bytes.extend_from_slice(then);
    bytes
}

#[tokio::test]
async fn badreq() {
    let siege = lay().await;
    let mut two_paths = field(":path", "/foo/bah");
    two_paths.extend(head(UNARY));
    let flags = END_HEADERS | END_STREAM;
    let two_paths = frame(kind::HEADERS, flags, 1, &two_paths);
    let cases = [
        (
            "content type",
            request(&[("content-type", "text/html")]),
            Answer::Response,
        ),
        ("te", request(&[("te", "frobnicate")]), Answer::Reset),
        ("two paths", two_paths, Answer::Reset),
        (
            "accept-encoding",
            request(&[("grpc-accept-encoding", "nobody-knows")]),
            Answer::Response,
        ),
        (
            "grpc-encoding",
            request(&[("grpc-encoding", "you-dont-know-how-to-do-this")]),
            Answer::Response,
        ),
    ];
    assert_answers(&siege, &cases).await;
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn connection_prefix() {
    let siege = lay().await;
    for len in 0..PREFACE.len() {
        assert_comes_to_nothing(&siege, &PREFACE[..len]).await;
        let wrong = [&PREFACE[..len], b"X"].concat();
        assert_comes_to_nothing(&siege, &wrong).await;
    }
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn duplicate_header() {
    let siege = lay().await;
    for times in [1, 2] {
        let again = frame(kind::HEADERS, END_HEADERS, 1, &head(UNARY)).repeat(times);
        let data = frame(kind::DATA, 0, 1, &[0; 4]);
        let bytes = begun(&[again, data].concat());
        let answer = answer(&siege, &bytes, Answer::Ended).await;
        assert!(
            matches!(answer, Answer::Reset | Answer::Ended),
            "{answer:?}"
        );
    }
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn head_of_line_blocking() {
    let siege = lay().await;
    // The first call's message does not come to its end; the second's does.
    let mut bytes = begun(&frame(kind::DATA, 0, 1, &[0, 0, 0, 0x20, 0, 0]));
    bytes.extend(call(3, UNARY, b""));
    assert_eq!(
        answer(&siege, &bytes, Answer::Response).await,
        Answer::Response
    );
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn headers() {
    let siege = lay().await;
    let headers = |stream, flags, block: &[u8]| frame(kind::HEADERS, flags, stream, block);
    let padded = END_HEADERS | 8;
    let prioritized = END_HEADERS | 0x20;
    let cases = [
        ("stream zero", headers(0, END_HEADERS, &[]), Answer::Ended),
        (
            "more padding than there is",
            headers(1, padded, &[5, 0]),
            Answer::Ended,
        ),
        (
            "no room for a priority",
            headers(1, prioritized, &[0; 2]),
            Answer::Ended,
        ),
        (
            "index zero",
            headers(1, END_HEADERS, &[0x80]),
            Answer::Ended,
        ),
        (
            "an index beyond the table",
            headers(1, END_HEADERS, &[0xfe]),
            Answer::Ended,
        ),
        (
            "an index without an end",
            headers(1, END_HEADERS, &[0xff; 12]),
            Answer::Ended,
        ),
        (
            "a table larger than agreed",
            headers(1, END_HEADERS, &[0x3f, 0xff, 0xff, 0x7f]),
            Answer::Ended,
        ),
        (
            "half a field",
            headers(1, END_HEADERS, &[0, 5, b'a']),
            Answer::Ended,
        ),
        (
            "no pseudo headers",
            headers(1, END_HEADERS, &field("a", "b")),
            Answer::Reset,
        ),
        (
            "an upper case name",
            headers(1, END_HEADERS, &field("A", "b")),
            Answer::Ended,
        ),
        (
            "a continuation of nothing",
            frame(kind::CONTINUATION, END_HEADERS, 1, &[]),
            Answer::Ended,
        ),
        (
            "another stream between headers",
            [
                headers(1, 0, &head(UNARY)),
                headers(3, END_HEADERS, &head(UNARY)),
            ]
            .concat(),
            Answer::Ended,
        ),
    ];
    assert_answers(&siege, &cases).await;
    // Headers that end with their connection, anywhere.
    let whole = [PREFACE, &settings(&[]), &begun(&[])].concat();
    for len in (PREFACE.len()..whole.len()).step_by(7) {
        assert_comes_to_nothing(&siege, &whole[..len]).await;
    }
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn initial_settings_frame() {
    let siege = lay().await;
    let raw = |flags, stream, payload: &[u8]| frame(kind::SETTINGS, flags, stream, payload);
    let cases = [
        ("a stream", raw(0, 1, &[]), Answer::Ended),
        ("another stream", raw(0, 0x40_0000, &[]), Answer::Ended),
        ("a byte", raw(0, 0, &[0; 1]), Answer::Ended),
        ("five bytes", raw(0, 0, &[0; 5]), Answer::Ended),
        ("a frame size of zero", settings(&[(5, 0)]), Answer::Ended),
        (
            "a window too large",
            settings(&[(4, u32::MAX)]),
            Answer::Ended,
        ),
        ("a window", settings(&[(4, 0x1_0000)]), Answer::None),
        (
            "an acknowledgement with data",
            raw(ACK, 0, &[0; 1]),
            Answer::Ended,
        ),
        ("undefined flags", raw(0x10, 0, &[]), Answer::None),
        ("an unknown setting", settings(&[(0x99, 0)]), Answer::None),
    ];
    for (name, frame, expected) in cases {
        let answer = answer_to_all(&siege, &[PREFACE, &frame].concat(), expected).await;
        assert_eq!(answer, expected, "{name}");
    }
    for partial in [&[0][..], &[6], &[0, 6], &[0, 0, 6], &[0, 0, 0, 4, 0xff, 0]] {
        assert_comes_to_nothing(&siege, &[PREFACE, partial].concat()).await;
    }
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn large_metadata() {
    let siege = lay().await;
    let large = "x".repeat(16_200);
    let cases = [(
        "over the limit",
        request(&[("user-agent", &large)]),
        Answer::Response,
    )];
    assert_answers(&siege, &cases).await;
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn out_of_bounds() {
    let siege = lay().await;
    let cases = [
        (
            "DATA",
            begun(&frame(kind::DATA, 0, 1, &[0; 1 << 16])),
            Answer::Ended,
        ),
        (
            "PRIORITY",
            frame(kind::PRIORITY, 0, 1, &[1; 3]),
            Answer::Ended,
        ),
        (
            "RST_STREAM",
            begun(&frame(kind::RST_STREAM, 0, 1, &[1; 2])),
            Answer::Ended,
        ),
        (
            "SETTINGS",
            frame(kind::SETTINGS, 0, 0, &[1; 5]),
            Answer::Ended,
        ),
        ("PING", frame(kind::PING, 0, 0, &[1; 5]), Answer::Ended),
        (
            "WINDOW_UPDATE",
            frame(kind::WINDOW_UPDATE, 0, 0, &[1]),
            Answer::Ended,
        ),
    ];
    assert_answers(&siege, &cases).await;
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn bad_streaming_id() {
    let siege = lay().await;
    let open = |stream| {
        frame(
            kind::HEADERS,
            END_HEADERS | END_STREAM,
            stream,
            &head(UNARY),
        )
    };
    assert_eq!(answer(&siege, &open(2), Answer::Ended).await, Answer::Ended);
    let mut raw = siege.attacker().await;
    raw.send(&[open(1), open(3), open(1)].concat())
        .await
        .unwrap();
    raw.ended().await;
    drop(raw);
    siege.ends_with_at_most(MIB).await;
}

/// Messages that are cut off, by the end of their stream.
#[tokio::test]
async fn server_registered_method() {
    let siege = lay().await;
    let whole = message(b"");
    for len in 0..=whole.len() {
        let bytes = begun(&frame(kind::DATA, END_STREAM, 1, &whole[..len]));
        assert_eq!(
            answer(&siege, &bytes, Answer::Response).await,
            Answer::Response,
            "{len}"
        );
    }
    for claimed in [1, 2] {
        let short = [0, 0, 0, 0, claimed];
        let bytes = begun(&frame(kind::DATA, END_STREAM, 1, &short));
        assert_eq!(
            answer(&siege, &bytes, Answer::Response).await,
            Answer::Response
        );
    }
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn simple_request() {
    let siege = lay().await;
    let content_type = |value| request(&[("content-type", value), ("host", "localhost")]);
    let mut timeouts = head(UNARY);
    timeouts.extend(field("grpc-timeout", "10S"));
    timeouts.extend(field("grpc-timeout", "5S"));
    let timeouts = frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &timeouts);
    let update = |flags, payload: &[u8]| begun(&frame(kind::WINDOW_UPDATE, flags, 1, payload));
    let reset = |flags, payload: &[u8]| begun(&frame(kind::RST_STREAM, flags, 1, payload));
    let cases = [
        ("a request", request(&[]), Answer::Response),
        (
            "a format",
            content_type("application/grpc+this-is-valid"),
            Answer::Response,
        ),
        (
            "a parameter",
            content_type("application/grpc;this-is-valid"),
            Answer::Response,
        ),
        ("two timeouts", timeouts, Answer::Response),
        (
            "flags of a message that there are not",
            begun(&frame(kind::DATA, 0, 1, &[0x34, 0, 0, 0, 0])),
            Answer::Response,
        ),
        (
            "undefined flags of DATA",
            begun(&frame(kind::DATA, 2, 1, &[])),
            Answer::None,
        ),
        ("a short update", update(0, &[0]), Answer::Ended),
        ("an empty update", update(0x10, &[]), Answer::Ended),
        (
            "a short GOAWAY",
            begun(&frame(kind::GOAWAY, 0, 0, &[0; 4])),
            Answer::Ended,
        ),
        ("a short reset", reset(0, &[0]), Answer::Ended),
        ("an empty reset", reset(0x10, &[]), Answer::Ended),
    ];
    assert_answers(&siege, &cases).await;
    let nothing = answer(&siege, &update(0, &[0; 4]), Answer::Ended).await;
    assert!(
        matches!(nothing, Answer::Reset | Answer::Ended),
        "{nothing:?}"
    );
    // A GOAWAY that ends with its connection.
    let mut partial = [PREFACE, &settings(&[])].concat();
    partial.extend([0, 1, 0x12, kind::GOAWAY, 0, 0, 0, 0, 0]);
    assert_comes_to_nothing(&siege, &partial).await;
    siege.ends_with_at_most(MIB).await;
}

#[tokio::test]
async fn unknown_frame() {
    let siege = lay().await;
    for unknown in [0x0a, 0x88, 0xff] {
        let bytes = frame(unknown, 0, 1, b"who knows");
        assert_eq!(answer(&siege, &bytes, Answer::None).await, Answer::None);
        let bytes = [bytes, call(1, UNARY, b"")].concat();
        assert_eq!(
            answer(&siege, &bytes, Answer::Response).await,
            Answer::Response
        );
    }
    siege.ends_with_at_most(MIB).await;
}

/// DATA beyond the window, to a handler that reads nothing.
#[tokio::test]
async fn window_overflow() {
    let siege = lay().await;
    let mut bytes = begun(&frame(kind::DATA, 0, 1, &message(HANGS)));
    for _ in 0..1500 {
        bytes.extend(frame(kind::DATA, 0, 1, &[0; 16 << 10]));
    }
    let answer = answer(&siege, &bytes, Answer::Ended).await;
    assert!(
        matches!(answer, Answer::Ended | Answer::Reset | Answer::Response),
        "{answer:?}"
    );
    drop(bytes);
    // What was sent was held here, too, and twice.
    siege.ends_with_at_most(80 * MIB).await;
}

#[tokio::test]
async fn window_update_overflow() {
    let siege = lay().await;
    let update = |stream| {
        frame(
            kind::WINDOW_UPDATE,
            0,
            stream,
            &0x7fff_ffff_u32.to_be_bytes(),
        )
    };
    let cases = [
        ("the connection's", update(0), Answer::Ended),
        ("a stream's", begun(&update(1)), Answer::Reset),
    ];
    assert_answers(&siege, &cases).await;
    siege.ends_with_at_most(MIB).await;
}
