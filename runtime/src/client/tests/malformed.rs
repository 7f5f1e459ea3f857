use super::*;

#[tokio::test(start_paused = true)]
async fn a_reset_by_the_server_is_the_code_of_its_reason() {
    let reasons = [
        (Reason::CANCEL, Code::Cancelled),
        (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        (Reason::INTERNAL_ERROR, Code::Internal),
    ];
    for (reason, code) in reasons {
        let peer = Peer::new([Act::reset_after_reading(reason)]);
        let status = peer.channel().unary(&UNARY, request()).await.unwrap_err();
        assert_eq!(status.code(), code, "{reason:?}");
    }
}

/// Response headers with these fields alone.
fn head(http_status: u16, fields: &[(&str, &str)], end_stream: bool) -> Step {
    Step::Headers {
        http_status,
        fields: wireloom_peer::fields(fields),
        end_stream,
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_response_is_a_clear_status_for_each_kind_of_call() {
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    let trailers = |fields| Step::Trailers(wireloom_peer::fields(fields));
    let cases = [
        (vec![head(200, &[], false)], Code::Unknown, "content-type"),
        (
            vec![head(200, &[("content-type", "text/html")], false)],
            Code::Unknown,
            "text/html",
        ),
        (vec![head(503, &[], false)], Code::Unavailable, "503"),
        (vec![head(401, &[], true)], Code::Unauthenticated, "401"),
        (
            vec![head(200, &[GRPC], true)],
            Code::Internal,
            "grpc-status",
        ),
        (
            vec![head(200, &[GRPC], false), Step::End],
            Code::Internal,
            "grpc-status",
        ),
        (
            vec![head(200, &[GRPC], false), trailers(&[])],
            Code::Internal,
            "grpc-status",
        ),
        (
            vec![head(200, &[GRPC, ("grpc-status", "soon")], true)],
            Code::Unknown,
            "",
        ),
        (
            vec![head(200, &[GRPC, ("grpc-status", "99")], true)],
            Code::Unknown,
            "",
        ),
        (
            vec![head(
                200,
                &[GRPC, ("grpc-status", "5"), ("grpc-message", "%zz%4")],
                true,
            )],
            Code::NotFound,
            "%zz%4",
        ),
        (
            vec![head(
                200,
                &[
                    GRPC,
                    ("grpc-status", "5"),
                    ("grpc-status-details-bin", "!!"),
                ],
                true,
            )],
            Code::NotFound,
            "",
        ),
        (
            vec![head(200, &[GRPC], false), Step::Data(vec![1, 0, 0, 0, 0])],
            Code::Internal,
            "grpc-encoding",
        ),
        (
            vec![head(200, &[GRPC], false), Step::Data(vec![9, 0, 0, 0, 0])],
            Code::Internal,
            "flags",
        ),
        (
            vec![
                head(200, &[GRPC], false),
                Step::Data(vec![0, 0, 0, 0, 9, 1]),
                trailers(&[("grpc-status", "0")]),
            ],
            Code::Internal,
            "inside a message",
        ),
    ];
    for (steps, code, says) in cases {
        for kind in KINDS {
            let mut act = Act::read();
            act.steps.extend(steps.clone());
            let peer = Peer::new([act]);
            let outcome = call(&peer.channel(), kind).await;
            let case = format!("{kind:?}, {steps:?}: {outcome:?}");
            assert_eq!(outcome.code(), code, "{case}");
            assert!(outcome.status.message().contains(says), "{case}");
            assert_eq!(
                (outcome.messages.len(), peer.seen().len()),
                (0, 1),
                "{case}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_in_mid_message_ends_the_call_and_is_not_retried() {
    for kind in KINDS {
        let act = Act::read()
            .headers()
            .step(Step::Data(vec![0, 0, 0, 0, 9, 1]));
        let peer = Peer::new([act.reset(Reason::INTERNAL_ERROR)]);
        let outcome = call(&peer.channel_with(saying(RETRY)), kind).await;
        assert_eq!(outcome.code(), Code::Internal, "{kind:?}: {outcome:?}");
        assert_eq!(
            (outcome.messages.len(), peer.seen().len()),
            (0, 1),
            "{kind:?}"
        );
    }
}
