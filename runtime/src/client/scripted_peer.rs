//! An HTTP/2 peer that answers as a test scripts it, and records what came.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{SendResponse, handshake},
};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::{io::DuplexStream, time::Instant};
use tonic::Code;

use crate::{
    channel::{Channel, ChannelBuilder},
    frame,
};

/// What the peer does with one request, or one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Refuses the connection.
    RefuseConnection,
    /// Resets the stream without having looked at it.
    RefuseStream,
    /// Answers with nothing but the status.
    TrailersOnly(Code),
    /// Answers the status in trailers-only form, and closes the connection.
    TrailersOnlyAndClose(Code),
    /// Answers with headers, then the status.
    HeadersThen(Code),
    /// Answers with nothing but the status, which has this `grpc-retry-pushback-ms`.
    Pushback(Code, &'static str),
    /// Answers with nothing but the status, after so many milliseconds.
    TrailersOnlyAfter(u64, Code),
    /// Answers with one message and OK.
    Answer,
    /// Answers with one message and OK, after so many milliseconds.
    AnswerAfter(u64),
    /// Resets the stream with this reason.
    Reset(Reason),
    /// Never answers.
    Stall,
}

/// A request as the peer saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) headers: HeaderMap,
    pub(crate) connection: usize,
    /// The body, once it has ended; what came of it where it was reset.
    pub(crate) body: Vec<u8>,
    pub(crate) reset: Option<Reason>,
}

#[derive(Debug, Default)]
pub(crate) struct Peer {
    script: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<usize>,
}

impl Peer {
    pub(crate) fn new(script: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.into_iter().collect()),
            ..Self::default()
        })
    }

    /// A channel to the peer.
    pub(crate) fn channel(self: &Arc<Self>) -> Channel {
        self.channel_with(|builder| builder)
    }

    /// A channel to the peer with options.
    pub(crate) fn channel_with(
        self: &Arc<Self>,
        options: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
    ) -> Channel {
        options(ChannelBuilder::scripted(Arc::clone(self)))
            .lazy()
            .unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connect(self: &Arc<Self>) -> io::Result<DuplexStream> {
        let mut script = self.script.lock().unwrap();
        if matches!(script.front(), Some(Act::RefuseConnection)) {
            script.pop_front();
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let number = {
            let mut connections = self.connections.lock().unwrap();
            *connections += 1;
            *connections
        };
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(Arc::clone(self).serve(ours, number));
        Ok(theirs)
    }

    async fn serve(self: Arc<Self>, io: DuplexStream, connection: usize) {
        let mut http2 = handshake(io).await.unwrap();
        while let Some(Ok((request, respond))) = http2.accept().await {
            let act = self
                .script
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(Act::Answer);
            if matches!(act, Act::TrailersOnlyAndClose(_)) {
                http2.graceful_shutdown();
            }
            tokio::spawn(Arc::clone(&self).act(act, request, respond, connection));
        }
    }

    async fn act(
        self: Arc<Self>,
        act: Act,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        connection: usize,
    ) {
        let (head, body) = request.into_parts();
        let seen = Seen {
            at: Instant::now(),
            headers: head.headers,
            connection,
            body: Vec::new(),
            reset: None,
        };
        let index = {
            let mut all = self.seen.lock().unwrap();
            all.push(seen);
            all.len() - 1
        };
        if matches!(act, Act::RefuseStream) {
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        self.read(body, index).await;
        match act {
            Act::RefuseConnection | Act::RefuseStream => {}
            Act::TrailersOnly(code) | Act::TrailersOnlyAndClose(code) => {
                respond.send_response(trailers_only(code), true).unwrap();
            }
            Act::Pushback(code, milliseconds) => {
                let mut response = trailers_only(code);
                let milliseconds = HeaderValue::from_static(milliseconds);
                response
                    .headers_mut()
                    .insert("grpc-retry-pushback-ms", milliseconds);
                respond.send_response(response, true).unwrap();
            }
            Act::TrailersOnlyAfter(milliseconds, code) => {
                if self.sleep(milliseconds, &mut respond, index).await {
                    respond.send_response(trailers_only(code), true).unwrap();
                }
            }
            Act::AnswerAfter(milliseconds) => {
                if self.sleep(milliseconds, &mut respond, index).await {
                    answer(&mut respond);
                }
            }
            Act::HeadersThen(code) => {
                let mut stream = respond.send_response(response(), false).unwrap();
                stream.send_trailers(trailers(code)).unwrap();
            }
            Act::Answer => answer(&mut respond),
            Act::Reset(reason) => respond.send_reset(reason),
            Act::Stall => {
                self.sleep(u64::MAX >> 20, &mut respond, index).await;
            }
        }
    }

    /// Waits; false where the caller resets the stream before.
    async fn sleep(
        &self,
        milliseconds: u64,
        respond: &mut SendResponse<Bytes>,
        index: usize,
    ) -> bool {
        tokio::select! {
            reset = std::future::poll_fn(|cx| respond.poll_reset(cx)) => {
                self.seen.lock().unwrap()[index].reset = reset.ok();
                false
            }
            () = tokio::time::sleep(Duration::from_millis(milliseconds)) => true,
        }
    }

    async fn read(&self, mut body: RecvStream, index: usize) {
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            self.seen.lock().unwrap()[index]
                .body
                .extend_from_slice(&data);
        }
    }
}

fn response() -> Response<()> {
    Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

fn trailers_only(code: Code) -> Response<()> {
    let mut response = response();
    response
        .headers_mut()
        .insert("grpc-status", HeaderValue::from(code as i32));
    response
}

fn answer(respond: &mut SendResponse<Bytes>) {
    let mut stream = respond.send_response(response(), false).unwrap();
    stream
        .send_data(frame::encode(&"answer".to_owned()).unwrap(), false)
        .unwrap();
    stream.send_trailers(trailers(Code::Ok)).unwrap();
}

fn trailers(code: Code) -> HeaderMap {
    HeaderMap::from_iter([(
        "grpc-status".parse().unwrap(),
        HeaderValue::from(code as i32),
    )])
}
