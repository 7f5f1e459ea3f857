//! Requests in encodings that are not supported.

#[cfg(feature = "tonic")]
use tonic::body::Body;

#[cfg(feature = "tonic")]
use super::{Call, Serve, Server};
use super::{Codes, answer, call_by_hand};

#[tokio::test]
async fn a_call_in_an_encoding_that_is_not_supported_is_told_which_are() {
    for server in [answer(1), answer(1).interceptor(Codes::default())] {
        let fields = [("grpc-encoding", "lzma")];
        let response = call_by_hand(server, "/test.Test/Unary", &fields).await;
        assert_eq!(response.headers()["grpc-status"], "12");
        let accepted = response.headers()["grpc-accept-encoding"].to_str().unwrap();
        assert!(accepted.starts_with("identity"), "{accepted}");
    }
}

/// A service that reads messages by itself, and knows an encoding of its own, or none.
#[cfg(feature = "tonic")]
#[derive(Clone)]
struct ByItself {
    knows_lzma: bool,
}

#[cfg(feature = "tonic")]
impl tower_service::Service<http::Request<Body>> for ByItself {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert_eq!(request.headers()["grpc-encoding"], "lzma");
        let response = http::Response::builder().header("content-type", "application/grpc");
        let response = match self.knows_lzma {
            true => response.header("grpc-status", "0"),
            false => response
                .header("grpc-status", "12")
                .header("grpc-accept-encoding", "identity,deflate"),
        };
        std::future::ready(Ok(response.body(Body::empty()).unwrap()))
    }
}

#[cfg(feature = "tonic")]
#[tokio::test]
async fn a_service_that_decompresses_by_itself_says_which_encodings_there_are() {
    for (knows_lzma, status) in [(true, "0"), (false, "12")] {
        let service = ByItself { knows_lzma };
        let service = Serve(move |call: Call| {
            let service = service.clone();
            async move { crate::server::serve_tower(&service, call).await }
        });
        let server = Server::builder()
            .add_service(service)
            .interceptor(Codes::default());
        let fields = [("grpc-encoding", "lzma")];
        let response = call_by_hand(server, "/test.Test/Unary", &fields).await;
        let headers = response.headers();
        assert_eq!(headers["grpc-status"], status);
        if !knows_lzma {
            assert_eq!(headers["grpc-accept-encoding"], "identity,deflate");
        }
    }
}
