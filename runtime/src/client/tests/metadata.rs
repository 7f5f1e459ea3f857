use super::*;

/// The values of a key, in order.
fn values<'a>(metadata: &'a MetadataMap, key: &str) -> Vec<&'a str> {
    let values = metadata.get_all(key).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_response_has_the_metadata_of_headers_and_trailers() {
    let act = Act::read()
        .headers_with(&[("cost", "3"), ("left", "7")])
        .message("answer")
        .trailers_with(0, &[("cost", "4")]);
    let peer = Peer::new([act]);
    let response = peer.channel().unary(&UNARY, request()).await.unwrap();
    assert_eq!(values(response.metadata(), "cost"), ["3", "4"]);
    assert_eq!(values(response.metadata(), "left"), ["7"]);
    assert_eq!(response.metadata().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_26_a_failure_after_headers_has_the_metadata_of_both() {
    let act = Act::read()
        .headers_with(&[("cost", "3"), ("left", "7")])
        .trailers_with(Code::NotFound, &[("cost", "4")]);
    for kind in [MethodKind::Unary, MethodKind::ClientStreaming] {
        let peer = Peer::new([act.clone()]);
        let status = call(&peer.channel(), kind).await.status;
        assert_eq!(status.code(), Code::NotFound, "{kind:?}");
        assert_eq!(values(status.metadata(), "cost"), ["3", "4"], "{kind:?}");
        assert_eq!(values(status.metadata(), "left"), ["7"], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_the_protocol_s_is_no_metadata_of_a_trailers_only_response() {
    let fields = [("cost", "3"), ("grpc-accept-encoding", "gzip")];
    for kind in KINDS {
        let peer = Peer::new([Act::read().trailers_only(Code::NotFound, &fields)]);
        let status = call(&peer.channel(), kind).await.status;
        let keys: Vec<_> = status.metadata().keys().collect();
        assert_eq!(format!("{keys:?}"), r#"[Ascii("cost")]"#, "{kind:?}");
    }
}
