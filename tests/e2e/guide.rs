//! What the guides in `docs/` show, run.

use std::time::Duration;

use wireloom::server::{Listener, PeerAddr, Server};
use wireloom::{Channel, Code, Context, Request, Response, Status};
use wireloom::{MessageStream, Streaming, tokio_stream};
use wireloom_tests::real::route_guide::routeguide::Rectangle;
use wireloom_tests::real::route_guide::routeguide::{
    Feature, Point, RouteGuide, RouteGuideClient, RouteGuideServer, RouteNote, RouteSummary,
};

struct Guide;

impl RouteGuide for Guide {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        let peer = request.extensions().get::<PeerAddr>().copied();
        let context = Context::current();
        let left = context.deadline().map(|deadline| deadline.remaining());
        let cancelled = context.cancellation_token();
        let watch = wireloom::spawn(async move {
            // Calls made here inherit the deadline and the trace, too.
            cancelled.cancelled().await;
        });
        watch.abort();
        let name = format!(
            "asked by {peer:?}, {} left",
            if left.is_some() { "time" } else { "none" }
        );
        Ok(Response::new(Feature {
            name,
            location: Some(request.into_inner()),
        }))
    }

    async fn list_features(
        &self,
        _: Request<Rectangle>,
    ) -> Result<Response<impl MessageStream<Feature>>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn record_route(
        &self,
        _: Request<Streaming<Point>>,
    ) -> Result<Response<RouteSummary>, Status> {
        Err(Status::unimplemented("not on this route"))
    }

    async fn route_chat(
        &self,
        _: Request<Streaming<RouteNote>>,
    ) -> Result<Response<impl MessageStream<RouteNote>>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}

#[tokio::test]
async fn a_server_and_a_channel_with_options() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let server = Server::builder()
        .add_service(RouteGuideServer::new(Guide))
        .shutdown_timeout(Duration::from_secs(10))
        .max_receive_message_size(16 << 20)
        .serve_with_shutdown(listener, async move {
            let _ = stopped.await;
        });
    let server = tokio::spawn(server);

    let channel = Channel::builder(&target)
        .connect_timeout(Duration::from_secs(2))
        .max_receive_message_size(16 << 20)
        .lazy()
        .unwrap();
    let client = RouteGuideClient::new(channel);
    let feature = client
        .get_feature(Point {
            latitude: 1,
            longitude: 2,
        })
        .timeout(Duration::from_secs(1))
        .metadata("tenant", "blue")
        .await
        .unwrap()
        .into_inner();
    assert!(
        feature.name.contains("Tcp") && feature.name.contains("time left"),
        "{}",
        feature.name
    );

    stop.send(()).unwrap();
    assert_eq!(server.await.unwrap().unwrap().cut_off_calls, 0);
}

#[tokio::test]
async fn a_handler_is_tested_without_a_socket() {
    let request = Request::new(Point {
        latitude: 1,
        longitude: 2,
    });
    let feature = Guide.get_feature(request).await.unwrap().into_inner();
    assert_eq!(
        feature.location,
        Some(Point {
            latitude: 1,
            longitude: 2
        })
    );
}

#[tokio::test]
async fn a_failed_call_says_why() {
    let client = RouteGuideClient::new(Channel::lazy("unix:/nowhere/at/all").unwrap());
    match client.get_feature(Point::default()).no_retry().await {
        Ok(_) => panic!("nobody listens there"),
        Err(status) if status.code() == Code::Unavailable => {
            assert!(status.message().contains("could not connect"), "{status}");
        }
        Err(status) => panic!("{status}"),
    }
}
