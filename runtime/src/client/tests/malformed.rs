use super::*;

/// Answers with a head of this HTTP status and these fields, and nothing else.
fn head(http_status: u16, fields: &[(&str, &str)]) -> Act {
    Act::read().step(Step::Headers {
        http_status,
        fields: wireloom_peer::fields(fields),
        end_stream: true,
    })
}

/// Answers with a message, then with these trailers.
fn tail(fields: &[(&str, &str)]) -> Act {
    let trailers = Step::Trailers(wireloom_peer::fields(fields));
    Act::read().headers().message("answer").step(trailers)
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// Whatever the kind of call, `act` ends it with `code` and a message that says `why`.
async fn assert_fails(act: Act, code: Code, why: &str) {
    for kind in KINDS {
        let peer = Peer::new([act.clone()]);
        let outcome = call(&peer.channel(), kind).await;
        let case = format!("{kind:?}, {act:?}: {outcome:?}");
        assert_eq!(outcome.code(), code, "{case}");
        assert!(outcome.status.message().contains(why), "{case}");
        assert_eq!(peer.seen().len(), 1, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_not_grpc_s_is_a_status_that_says_so() {
    assert_fails(head(503, &[]), Code::Unavailable, "503").await;
    assert_fails(head(404, &[]), Code::Unimplemented, "404").await;
    assert_fails(head(200, &[]), Code::Unknown, "content-type").await;
    let html = [("content-type", "text/html")];
    assert_fails(head(200, &html), Code::Unknown, "text/html").await;
    assert_fails(head(200, &[GRPC]), Code::Unknown, "grpc-status").await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_no_number_is_unknown() {
    for status in ["", "soon", "-1", "99", "0x0"] {
        let fields = [("grpc-status", status)];
        assert_fails(tail(&fields), Code::Unknown, "").await;
        assert_fails(head(200, &[GRPC, fields[0]]), Code::Unknown, "").await;
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_without_a_status_or_none_at_all_are_unknown() {
    assert_fails(tail(&[("cost", "3")]), Code::Unknown, "grpc-status").await;
    let none = Act::read().headers().message("answer").step(Step::End);
    assert_fails(none, Code::Unknown, "grpc-status").await;
}

#[tokio::test(start_paused = true)]
async fn of_two_statuses_the_first_holds() {
    let two = tail(&[("grpc-status", "5"), ("grpc-status", "0")]);
    assert_fails(two, Code::NotFound, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_and_details_that_cannot_be_decoded_leave_the_code() {
    let fields = [
        ("grpc-status", "5"),
        ("grpc-message", "50%zz %ff"),
        ("grpc-status-details-bin", "!"),
    ];
    assert_fails(tail(&fields), Code::NotFound, "50%zz").await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_cannot_be_read_ends_the_call() {
    let body = |data: &[u8]| {
        let data = Step::Data(data.to_vec());
        Act::read().headers().step(data).trailers(0)
    };
    assert_fails(body(&[1, 0, 0, 0, 0]), Code::Internal, "compress").await;
    assert_fails(body(&[9, 0, 0, 0, 0]), Code::Internal, "flags").await;
    assert_fails(
        body(&[0, 0, 0, 0, 9, 1]),
        Code::Internal,
        "inside a message",
    )
    .await;
    assert_fails(body(&[0, 0, 0]), Code::Internal, "inside a message").await;
    assert_fails(body(&[0, 0, 0, 0, 1, 0xff]), Code::Internal, "decoded").await;
    let large = body(&[0, 0xff, 0, 0, 0]);
    assert_fails(large, Code::ResourceExhausted, "max_receive_message_size").await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_http2_forbids_ends_the_connection_and_the_next_call_gets_another() {
    // HEADERS whose padding is longer than the frame: a connection error (RFC 9113, section 6.2).
    let peer = Peer::new([Act::read().step(Step::Frame(0x1, 0x0c, vec![200]))]);
    let channel = peer.channel();
    let outcome = call(&channel, MethodKind::Unary).await;
    assert_ne!(outcome.code(), Code::Ok, "{outcome:?}");
    let outcome = call(&channel, MethodKind::Unary).await;
    assert_eq!(outcome.code(), Code::Ok, "{outcome:?}");
    assert_eq!(connections(&peer), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn rule_18_a_reset_in_mid_message_is_the_code_of_its_reason_and_is_not_retried() {
    let reasons = [
        (Reason::CANCEL, Code::Cancelled),
        (Reason::REFUSED_STREAM, Code::Unavailable),
        (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        (Reason::PROTOCOL_ERROR, Code::Internal),
        (Reason::INTERNAL_ERROR, Code::Internal),
        (Reason::FLOW_CONTROL_ERROR, Code::Internal),
        (Reason::SETTINGS_TIMEOUT, Code::Internal),
        (Reason::FRAME_SIZE_ERROR, Code::Internal),
        (Reason::COMPRESSION_ERROR, Code::Internal),
        (Reason::CONNECT_ERROR, Code::Internal),
    ];
    for (reason, code) in reasons {
        for kind in KINDS {
            let half = Step::Data(vec![0, 0, 0, 0, 9, 1]);
            let act = Act::read().headers().step(half).wait(10).reset(reason);
            let peer = Peer::new([act]);
            let outcome = call(&peer.channel_with(saying(RETRY)), kind).await;
            assert_eq!(outcome.code(), code, "{reason:?}, {kind:?}: {outcome:?}");
            assert_eq!(peer.seen().len(), 1, "{reason:?}, {kind:?}");
        }
    }
}
