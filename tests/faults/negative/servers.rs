//! Servers that misbehave, and what our client makes of it.

use std::future::{Future, IntoFuture as _};

use tokio::net::TcpListener;
use tokio::sync::Notify;
use wireloom::{Channel, Code, Method, Response, Status};
use wireloom_peer::raw::{END_STREAM, kind, settings};

use super::endpoint::{Endpoint, PADDING};
use super::{REQUEST, RESPONSE, head_of_response, trailers, zeros};
use crate::LONG;

/// Neither is retried.
static CALL: Method<Vec<u8>, Vec<u8>> = Method::unary("/test.Test/UnaryCall");
static MANY: Method<Vec<u8>, Vec<u8>> = Method::server_streaming("/test.Test/Many");

const NO_ERROR: u32 = 0;

/// The setting of how many streams there may be.
const MAX_CONCURRENT_STREAMS: u16 = 3;

async fn listen() -> (TcpListener, Channel) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    (listener, Channel::lazy(&target).unwrap())
}

/// The client's call.
fn call(channel: &Channel) -> impl Future<Output = Result<Response<Vec<u8>>, Status>> + use<> {
    let call = channel.unary(&CALL, vec![0; REQUEST]);
    call.timeout(LONG).into_future()
}

fn assert_answered(answer: Result<Response<Vec<u8>>, Status>) {
    assert_eq!(answer.unwrap().into_inner(), vec![0; RESPONSE]);
}

/// What no call is asked to bear: nothing of the case's own.
async fn answer(server: &mut Endpoint, stream: u32) {
    server.headers(stream, 0, &head_of_response()).await;
    server.data(stream, &zeros(RESPONSE), 0).await;
    server.headers(stream, END_STREAM, &trailers()).await;
}

/// Reads a request, and answers it.
async fn serve(server: &mut Endpoint) -> u32 {
    let stream = server.ended_stream().await;
    answer(server, stream).await;
    stream
}

/// A server resets the stream of a call after `so_much` of its answer: the call fails with the code of the published table
/// for NO_ERROR, without another attempt, and the connection goes on.
async fn assert_reset_fails_the_call(so_much: Option<&[u8]>) {
    let (listener, channel) = listen().await;
    let case = async {
        let mut server = Endpoint::accept(&listener, &[]).await;
        let stream = server.ended_stream().await;
        server.headers(stream, 0, &head_of_response()).await;
        if let Some(data) = so_much {
            server.data(stream, data, 0).await;
        }
        server.reset(stream, NO_ERROR).await;
        assert_eq!(serve(&mut server).await, stream + 2);
        server
    };
    let calls = async {
        let failed = call(&channel).await.unwrap_err();
        assert_eq!(failed.code(), Code::Internal, "{failed}");
        assert_answered(call(&channel).await);
    };
    tokio::join!(case, calls);
}

/// The connection that a GOAWAY is said on takes no further call: the next one has another, and nobody sees any of it.
#[tokio::test]
async fn goaway() {
    let (listener, channel) = listen().await;
    let case = async {
        let mut first = Endpoint::accept(&listener, &[]).await;
        let stream = serve(&mut first).await;
        first.go_away(stream).await;
        // The second call may have been under way on it already: it is above the last stream, and nobody answers it.
        let mut second = Endpoint::accept(&listener, &[]).await;
        serve(&mut second).await;
        // Nor is the first connection kept.
        while first.next().await.is_some() {}
        second
    };
    let calls = async {
        for _ in 0..2 {
            assert_answered(call(&channel).await);
        }
    };
    tokio::join!(case, calls);
}

#[tokio::test]
async fn rst_after_header() {
    assert_reset_fails_the_call(None).await;
}

#[tokio::test]
async fn rst_during_data() {
    let message = zeros(RESPONSE);
    assert_reset_fails_the_call(Some(&message[..message.len() / 2])).await;
}

#[tokio::test]
async fn rst_after_data() {
    assert_reset_fails_the_call(Some(&zeros(RESPONSE))).await;

    // A stream gives the message that came whole, and then fails: it is reset once that has been read, since what is on its
    // way may be discarded by a reset.
    let (listener, channel) = listen().await;
    let read = Notify::new();
    let case = async {
        let mut server = Endpoint::accept(&listener, &[]).await;
        let stream = server.ended_stream().await;
        server.headers(stream, 0, &head_of_response()).await;
        server.data(stream, &zeros(RESPONSE), 0).await;
        read.notified().await;
        server.reset(stream, NO_ERROR).await;
        server
    };
    let reading = async {
        let call = channel.server_streaming(&MANY, vec![]).timeout(LONG);
        let mut messages = call.await.unwrap().into_inner();
        assert_eq!(messages.message().await.unwrap(), Some(vec![0; RESPONSE]));
        read.notify_one();
        let failed = messages.message().await.unwrap_err();
        assert_eq!(failed.code(), Code::Internal, "{failed}");
    };
    tokio::join!(case, reading);
}

/// A message of 64 KiB may come in one frame. It is none of the published cases.
#[tokio::test]
async fn large_frame() {
    const LARGE: usize = 64 << 10;
    let (listener, channel) = listen().await;
    let case = async {
        let mut server = Endpoint::accept(&listener, &[]).await;
        let stream = server.ended_stream().await;
        server.headers(stream, 0, &head_of_response()).await;
        server.large_data(stream, &zeros(LARGE), 0).await;
        server.headers(stream, END_STREAM, &trailers()).await;
        server
    };
    let calls = async { call(&channel).await.unwrap().into_inner() };
    let (_server, answer) = tokio::join!(case, calls);
    assert_eq!(answer, vec![0; LARGE]);
}

/// All pings are answered, wherever in a call they come.
#[tokio::test]
async fn ping() {
    let (listener, channel) = listen().await;
    let case = async {
        let mut server = Endpoint::accept(&listener, &[]).await;
        server.ping().await;
        let stream = server.ended_stream().await;
        server.ping().await;
        server.headers(stream, 0, &head_of_response()).await;
        server.ping().await;
        server.data(stream, &zeros(RESPONSE), 0).await;
        server.ping().await;
        server.headers(stream, END_STREAM, &trailers()).await;
        server.round_trip().await;
        server
    };
    let (server, answer) = tokio::join!(case, call(&channel));
    assert_answered(answer);
    assert_eq!(server.unanswered, 0);
}

/// Calls beyond the limit that a server has told wait for their turn, rather than being sent or failing.
#[tokio::test]
async fn max_streams() {
    let (listener, channel) = listen().await;
    let case = async {
        let mut server = Endpoint::accept(&listener, &[]).await;
        server.send(&settings(&[(MAX_CONCURRENT_STREAMS, 1)])).await;
        for _ in 0..11 {
            let stream = server.ended_stream().await;
            // A client that thinks that it may open another one does so meanwhile.
            let meanwhile = server.round_trip().await;
            assert!(meanwhile.iter().all(|frame| frame.kind != kind::HEADERS));
            answer(&mut server, stream).await;
        }
        server
    };
    let calls = async {
        assert_answered(call(&channel).await);
        let calls: Vec<_> = (0..10).map(|_| tokio::spawn(call(&channel))).collect();
        for call in calls {
            assert_answered(call.await.unwrap());
        }
    };
    tokio::join!(case, calls);
}

/// An answer in frames of a few bytes each.
async fn assert_small_frames_are_read(padding: Option<u8>) {
    let (listener, channel) = listen().await;
    let case = async {
        let mut server = Endpoint::accept(&listener, &[]).await;
        let stream = server.ended_stream().await;
        server.headers(stream, 0, &head_of_response()).await;
        server
            .small_data(stream, &zeros(RESPONSE), 0, padding)
            .await;
        server.headers(stream, END_STREAM, &trailers()).await;
        server
    };
    let (_server, answer) = tokio::join!(case, call(&channel));
    assert_answered(answer);
}

/// They wait for as long as their reader does, and cost it no connection.
#[tokio::test]
async fn small_frames_wait_for_a_slow_reader() {
    let (listener, channel) = listen().await;
    let have_come = Notify::new();
    let case = async {
        let mut server = Endpoint::accept(&listener, &[]).await;
        let stream = server.ended_stream().await;
        server.headers(stream, 0, &head_of_response()).await;
        let message = zeros(RESPONSE);
        server.small_data(stream, &message, 0, None).await;
        // What answers this has read all that came before.
        server.round_trip().await;
        have_come.notify_one();
        server.headers(stream, END_STREAM, &trailers()).await;
        server
    };
    let reader = async {
        let call = channel.server_streaming(&MANY, vec![0; REQUEST]);
        let mut messages = call.timeout(LONG).await.unwrap().into_inner();
        have_come.notified().await;
        assert_eq!(messages.message().await.unwrap(), Some(vec![0; RESPONSE]));
        assert_eq!(messages.message().await.unwrap(), None);
    };
    tokio::join!(case, reader);
}

/// Padding takes room in the windows: a client that gives back no more than the data would be sent nothing any more.
#[tokio::test]
async fn data_frame_padding() {
    assert_small_frames_are_read(Some(PADDING)).await;
}

#[tokio::test]
async fn no_df_padding_sanity_test() {
    assert_small_frames_are_read(None).await;
}
