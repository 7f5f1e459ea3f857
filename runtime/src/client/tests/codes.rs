//! The codes that gRPC's published tables give to what HTTP and broken peers do.

use super::*;

/// Whatever the kind of call, `act` ends it with `code`.
async fn assert_code(act: Act, code: Code) {
    for kind in KINDS {
        let peer = Peer::new([act.clone()]);
        let outcome = call(&peer.channel(), kind).await;
        assert_eq!(outcome.code(), code, "{kind:?}, {act:?}: {outcome:?}");
    }
}

/// Answers as a proxy does that has no server behind it.
fn page(http_status: u16) -> Act {
    let head = Step::Headers {
        http_status,
        fields: wireloom_peer::fields(&[("content-type", "text/html")]),
        end_stream: false,
    };
    let html = Step::Data(b"<h1>Sorry</h1>".to_vec());
    Act::read().step(head).step(html).step(Step::End)
}

#[tokio::test(start_paused = true)]
async fn an_http_status_is_the_code_of_the_published_table() {
    let table = [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
        (200, Code::Unknown),
        (204, Code::Unknown),
        (302, Code::Unknown),
        (418, Code::Unknown),
        (500, Code::Unknown),
    ];
    for (http_status, code) in table {
        assert_code(page(http_status), code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_the_code_of_the_published_table() {
    let table = [
        (Reason::NO_ERROR, Code::Internal),
        (Reason::PROTOCOL_ERROR, Code::Internal),
        (Reason::INTERNAL_ERROR, Code::Internal),
        (Reason::FLOW_CONTROL_ERROR, Code::Internal),
        (Reason::SETTINGS_TIMEOUT, Code::Internal),
        (Reason::FRAME_SIZE_ERROR, Code::Internal),
        (Reason::CANCEL, Code::Cancelled),
        (Reason::COMPRESSION_ERROR, Code::Internal),
        (Reason::CONNECT_ERROR, Code::Internal),
        (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
    ];
    for (reason, code) in table {
        assert_code(Act::reset_after_reading(reason), code).await;
        assert_code(Act::read().headers().wait(10).reset(reason), code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_refused_time_and_again_are_unavailable() {
    for kind in KINDS {
        let peer = Peer::new([Act::refuse_stream(), Act::refuse_stream()]);
        let outcome = call(&peer.channel(), kind).await;
        assert_eq!(outcome.code(), Code::Unavailable, "{kind:?}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_is_unavailable_whenever_it_is() {
    let half = Step::Data(vec![0, 0, 0, 0, 9, 1]);
    assert_code(Act::read().close(), Code::Unavailable).await;
    assert_code(Act::read().headers().close(), Code::Unavailable).await;
    let in_mid_message = Act::read().headers().step(half).close();
    assert_code(in_mid_message, Code::Unavailable).await;
    let before_trailers = Act::read().headers().message("answer").close();
    assert_code(before_trailers, Code::Unavailable).await;
}

#[tokio::test(start_paused = true)]
async fn one_answer_means_neither_two_nor_none() {
    let none = Act::read().headers().trailers(0);
    let two = Act::read().headers().message("answer").message("another");
    for act in [none, two.clone().trailers(0), two] {
        for kind in [MethodKind::Unary, MethodKind::ClientStreaming] {
            let peer = Peer::new([act.clone()]);
            let outcome = call(&peer.channel(), kind).await;
            let case = format!("{kind:?}, {act:?}: {outcome:?}");
            assert_eq!(outcome.code(), Code::Internal, "{case}");
            assert!(outcome.messages.is_empty(), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_49_a_connection_that_is_never_made_ends_calls_at_their_deadline() {
    for kind in KINDS {
        let peer = Peer::scripted(Script {
            connections: vec![Connect::Stall],
            ..Script::default()
        });
        let start = Instant::now();
        let outcome = call(&peer.channel_with(saying(ONE_SECOND)), kind).await;
        let case = format!("{kind:?}: {outcome:?}");
        assert_eq!(outcome.code(), Code::DeadlineExceeded, "{case}");
        let took = start.elapsed().as_millis();
        assert!((1000..=1002).contains(&took), "{took}, {case}");
    }
}
