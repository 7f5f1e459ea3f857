//! Interceptors of a channel.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_stream as stream;
use tonic::{Code, Response, Status};
use wireloom_peer::{Act, Peer, Step};

use super::scripted_peer::{Scripted as _, settle, unavailable};
use crate::{
    interceptor::{CallObserver, InterceptedCall, Interceptor, Next},
    method::Method,
};

static UNARY: Method<String, String> =
    Method::unary("/test.Test/Unary").with_timeout(Duration::from_secs(9));
static BIDI: Method<String, String> = Method::bidi_streaming("/test.Test/Bidi");

fn request() -> String {
    "request".to_owned()
}

/// What interceptors have seen, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl CallObserver for Log {
    fn message_sent(&self, size: usize) {
        self.add(format!("sent {size}"));
    }

    fn message_received(&self, size: usize) {
        self.add(format!("received {size}"));
    }

    fn ended(&self, status: &Status) {
        self.add(format!("ended {:?}", status.code()));
    }
}

/// Logs what passes, by its name.
struct Logging(&'static str, Log);

impl Interceptor for Logging {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let Self(name, log) = self;
        let left = call.deadline().map(|deadline| deadline.remaining());
        log.add(format!("{name}: {} {left:?}", call.full_name()));
        call.observe(log.clone());
        let response = next.run(call).await;
        match &response {
            Ok(_) => log.add(format!("{name}: response")),
            Err(status) => log.add(format!("{name}: {:?}", status.code())),
        }
        response
    }
}

/// Adds metadata to requests and responses.
struct Marking;

impl Interceptor for Marking {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let asked = call.metadata().get("tenant").cloned();
        call.metadata_mut().insert("marked", "yes".parse().unwrap());
        call.metadata_mut()
            .insert("grpc-status", "7".parse().unwrap());
        let mut response = next.run(call).await?;
        if let Some(tenant) = asked {
            response.metadata_mut().insert("tenant-was", tenant);
        }
        Ok(response)
    }
}

/// Ends each call in its way.
enum Ending {
    Refuse,
    Hang,
    Forge,
    /// Gives another status than the call's.
    Translate,
}

impl Interceptor for Ending {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        match self {
            Self::Refuse => Err(Status::permission_denied("not here")),
            Self::Hang => std::future::pending().await,
            Self::Forge => Ok(Response::new(())),
            Self::Translate => {
                let response = next.run(call).await;
                response.map_err(|status| Status::aborted(status.message()))
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_sees_the_call_once_its_messages_and_its_end() {
    let peer = Peer::new([Act::refuse_stream()]);
    let log = Log::default();
    let channel = peer.channel_with(|builder| builder.interceptor(Logging("it", log.clone())));
    channel.unary(&UNARY, request()).await.unwrap();
    assert_eq!(peer.seen().len(), 2);
    let seen = [
        "it: test.Test/Unary Some(9s)",
        "sent 9",
        "it: response",
        "received 8",
        "ended Ok",
    ];
    assert_eq!(log.take(), seen);
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_sees_each_message_of_a_stream() {
    let act = Act::read()
        .headers()
        .message("a")
        .message("bb")
        .trailers(Code::DataLoss);
    let peer = Peer::new([act]);
    let log = Log::default();
    let channel = peer.channel_with(|builder| builder.interceptor(Logging("it", log.clone())));
    let messages = stream::iter(["1".to_owned(), "22".to_owned()]);
    let call = channel.bidi_streaming(&BIDI, messages).await.unwrap();
    let mut answers = call.into_inner();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("a"));
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("bb"));
    assert_eq!(answers.message().await.unwrap_err().code(), Code::DataLoss);
    let mut seen = log.take();
    seen.sort();
    let expected = [
        "ended DataLoss",
        "it: response",
        "it: test.Test/Bidi None",
        "received 3",
        "received 4",
        "sent 3",
        "sent 4",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn the_first_interceptor_is_the_outermost() {
    let peer = Peer::new([unavailable()]);
    let log = Log::default();
    let channel = peer.channel_with(|builder| {
        let outer = builder.interceptor(Logging("outer", log.clone()));
        outer
            .interceptor(Ending::Translate)
            .interceptor(Logging("inner", log.clone()))
    });
    let status = channel.unary(&UNARY, request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    let names: Vec<_> = log.take();
    let ends = [
        "inner: Unavailable",
        "outer: Aborted",
        "ended Aborted",
        "ended Aborted",
    ];
    assert!(names.ends_with(&ends.map(str::to_owned)), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_changes_metadata_but_not_what_grpc_reserves() {
    let peer = Peer::new([]);
    let channel = peer.channel_with(|builder| builder.interceptor(Marking));
    let answer = channel
        .unary(&UNARY, request())
        .metadata("tenant", "blue")
        .await
        .unwrap();
    assert_eq!(answer.metadata().get("tenant-was").unwrap(), "blue");
    let seen = peer.seen().pop().unwrap();
    assert_eq!(seen.header("marked"), Some("yes"));
    assert_eq!(seen.header("grpc-status"), None);
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_ends_a_call_before_it_is_sent() {
    for (ending, code) in [
        (Ending::Refuse, Code::PermissionDenied),
        (Ending::Hang, Code::DeadlineExceeded),
        (Ending::Forge, Code::Internal),
    ] {
        let peer = Peer::new([]);
        let log = Log::default();
        let channel = peer.channel_with(|builder| {
            let outer = builder.interceptor(Logging("it", log.clone()));
            outer.interceptor(ending)
        });
        let status = channel.unary(&UNARY, request()).await.unwrap_err();
        assert_eq!((status.code(), peer.seen().len()), (code, 0));
        assert_eq!(log.take().pop(), Some(format!("ended {code:?}")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_caller_drops_has_ended_as_cancelled() {
    let peer = Peer::new([Act::stall()]);
    let log = Log::default();
    let channel = peer.channel_with(|builder| builder.interceptor(Logging("it", log.clone())));
    let call = channel.unary(&UNARY, request());
    let dropped = tokio::time::timeout(Duration::from_secs(1), call).await;
    assert!(dropped.is_err());
    settle().await;
    assert_eq!(log.take().pop().as_deref(), Some("ended Cancelled"));
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_of_the_status_that_the_caller_gets() {
    let headers = || Act::read().headers();
    let data = |bytes: &[u8]| headers().step(Step::Data(bytes.to_vec())).trailers(0);
    let peer = Peer::new([
        headers().trailers(0),
        headers().message("one").message("two").trailers(0),
        data(&[0, 0, 0, 0, 9, 1]),
        data(&[0, 0, 0, 0, 1, 0xff]),
        headers().message("one").trailers(0),
    ]);
    let log = Log::default();
    let channel = peer.channel_with(|builder| builder.interceptor(Logging("log", log.clone())));
    for expected in [
        Code::Internal,
        Code::Internal,
        Code::Internal,
        Code::Internal,
        Code::Ok,
    ] {
        let outcome = channel.unary(&UNARY, request()).await;
        let code = outcome.err().map_or(Code::Ok, |status| status.code());
        assert_eq!(code, expected);
        assert_eq!(log.take().pop(), Some(format!("ended {code:?}")));
    }
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_of_a_stream_that_ended_inside_a_message() {
    let truncated = Act::read().headers().message("one");
    let truncated = truncated
        .step(Step::Data(vec![0, 0, 0, 0, 9, 1]))
        .trailers(0);
    let peer = Peer::new([truncated]);
    let log = Log::default();
    let channel = peer.channel_with(|builder| builder.interceptor(Logging("log", log.clone())));
    let call = channel.bidi_streaming(&BIDI, stream::iter([request()]));
    let mut responses = call.await.unwrap().into_inner();
    responses.message().await.unwrap().unwrap();
    let status = responses.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(log.take().pop(), Some("ended Internal".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn interceptors_see_a_call_that_may_not_be_made() {
    let peer = Peer::new([]);
    let log = Log::default();
    let channel = peer.channel_with(|builder| builder.interceptor(Logging("it", log.clone())));
    let call = || channel.unary(&UNARY, request());
    let invalid = [
        call().metadata("no name", "value"),
        call().metadata("grpc-timeout", "soon"),
    ];
    for call in invalid {
        let status = call.await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let seen = [
            "it: test.Test/Unary Some(9s)",
            "it: InvalidArgument",
            "ended InvalidArgument",
        ];
        assert_eq!(log.take(), seen);
    }
    assert_eq!(peer.connections(), 0);
}
