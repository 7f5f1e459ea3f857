//! Peers that do not read what they are answered, and what of it a server makes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpStream;
use tokio_stream::{self as stream, StreamExt as _};
use tonic::{Request, Response};

use super::{Call, Channel, MANY, Serve, Server, UNARY, frame, listen};

/// A connection whose streams have no room for answers, until their window is larger.
async fn connection_without_room(
    target: &str,
) -> (
    h2::client::SendRequest<bytes::Bytes>,
    tokio::sync::mpsc::UnboundedSender<u32>,
) {
    let io = TcpStream::connect(target.strip_prefix("http://").unwrap());
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(0)
        .initial_connection_window_size(1 << 30);
    let (sender, mut connection) = builder.handshake(io.await.unwrap()).await.unwrap();
    let (grow, mut grown) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut wanted = None;
        loop {
            tokio::select! {
                _ = &mut connection => return,
                Some(window) = grown.recv() => wanted = Some(window),
                () = tokio::time::sleep(Duration::from_millis(1)), if wanted.is_some() => {}
            }
            // Not before the settings of the start have been acknowledged.
            wanted.take_if(|window| connection.set_initial_window_size(*window).is_ok());
        }
    });
    (sender, grow)
}

const CALLS: usize = 40;

/// Makes calls of a method of the server on that connection.
async fn make_calls(
    sender: &h2::client::SendRequest<bytes::Bytes>,
    path: &str,
) -> Vec<h2::client::ResponseFuture> {
    let mut responses = Vec::new();
    for _ in 0..CALLS {
        let head = http::Request::post(format!("http://peer{path}"))
            .header("content-type", "application/grpc")
            .body(());
        let mut sender = sender.clone().ready().await.unwrap();
        let (response, mut body) = sender.send_request(head.unwrap(), false).unwrap();
        body.send_data(frame::encode(&"request".to_owned()).unwrap(), true)
            .unwrap();
        responses.push(response);
    }
    responses
}

/// Waits until so many are counted.
async fn until(count: &AtomicUsize, many: usize) {
    while count.load(Ordering::Relaxed) < many {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Calls on another connection, each of which is answered: by then, the first would have done what it may.
const OTHERS: usize = 20;

#[tokio::test]
async fn who_does_not_read_has_calls_wait_and_nobody_else_does() {
    assert_calls_wait(Server::builder()).await;
}

#[tokio::test]
async fn who_does_not_read_has_calls_wait_inside_of_http_layers_too() {
    let layer = tower_layer::Identity::new();
    assert_calls_wait(Server::builder().layer(layer)).await;
}

async fn assert_calls_wait(server: Server) {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let server = server
        .max_unsent_bytes(10 << 20)
        .add_service(Serve(move |call: Call| {
            let count = Arc::clone(&count);
            call.unary(&UNARY, move |_: Request<String>| async move {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(Response::new("x".repeat(1 << 20)))
            })
        }));
    let target = listen(server).await;
    let (sender, grow) = connection_without_room(&target).await;
    let responses = make_calls(&sender, "/test.Test/Unary").await;
    // Each has a megabyte, and a few bytes more.
    until(&begun, 10).await;
    let other = Channel::connect(&target).await.unwrap();
    for _ in 0..OTHERS {
        other.unary(&UNARY, "request".to_owned()).await.unwrap();
    }
    assert_eq!(begun.load(Ordering::Relaxed), 10 + OTHERS);
    // They go on as what waits is read.
    grow.send(2 << 20).unwrap();
    for response in responses {
        let mut body = response.await.unwrap().into_body();
        while let Some(data) = body.data().await {
            data.unwrap();
        }
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
    }
    assert_eq!(begun.load(Ordering::Relaxed), CALLS + OTHERS);
}

#[tokio::test]
async fn streams_of_who_does_not_read_are_asked_for_no_more() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let server = Server::builder()
        .max_unsent_bytes(10 << 20)
        .add_service(Serve(move |call: Call| {
            let count = Arc::clone(&count);
            call.server_streaming(&MANY, move |_: Request<String>| async move {
                // Small at first, so that all begin.
                let messages = stream::iter([1, 1 << 20]).then(move |size| {
                    let count = Arc::clone(&count);
                    async move {
                        // Each leaves by itself.
                        tokio::task::yield_now().await;
                        count.fetch_add(1, Ordering::Relaxed);
                        Ok("x".repeat(size))
                    }
                });
                Ok(Response::new(messages))
            })
        }));
    let target = listen(server).await;
    let (sender, grow) = connection_without_room(&target).await;
    let responses = make_calls(&sender, "/test.Test/Many").await;
    until(&made, CALLS).await;
    // Room for a part of the small ones.
    grow.send(7).unwrap();
    until(&made, CALLS + 10).await;
    let other = Channel::connect(&target).await.unwrap();
    for _ in 0..OTHERS {
        let call = other.server_streaming(&MANY, "request".to_owned()).await;
        let messages = call.unwrap().into_inner().collect::<Vec<_>>().await;
        assert!(messages.iter().all(Result::is_ok));
    }
    assert_eq!(made.load(Ordering::Relaxed), CALLS + 10 + 2 * OTHERS);
    drop(responses);
}
