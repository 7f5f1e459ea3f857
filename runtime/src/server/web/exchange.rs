//! One HTTP request on a stream of HTTP/2, and its response.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};

use super::{HttpService, Origin, answer, grpc, panicked};
use crate::{
    deadline::{self, Deadline},
    flow::{self, Gone},
    limits,
    server::{
        body::Source,
        connections::Shared,
        ended::log_early,
        ending::{End, Ending, ending_code},
        router::is_asked_of_any_server,
        trailers,
    },
    status,
};

/// Names that no response over HTTP/2 may have (RFC 9113 section 8.2.2).
const OF_CONNECTIONS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Answers a request that has just come by `service`, unless its caller goes away. A call ends at its deadline and by the
/// server's cut-off wherever it is: within the layers by this, and inside of them by itself. Its trailers have `max_trailers`
/// bytes at most.
pub(in crate::server) fn serve(
    shared: &Shared,
    service: HttpService,
    mut request: Request<Source>,
    respond: SendResponse<Bytes>,
    max_trailers: usize,
    mut origin: Origin,
) -> impl Future<Output = ()> + Send + 'static {
    let path = request.uri().path();
    let default_deadline = || shared.options.default_deadline(path);
    let kind = Kind::of(request.headers(), max_trailers, default_deadline);
    let is_watcher = is_asked_of_any_server(path);
    let is_counted = matches!(kind, Kind::Call { .. }) && !is_watcher;
    // Counted among the calls under way from here on, though it may never come further than a layer.
    let under_way = is_counted.then(|| shared.calls.token());
    let cut_off = origin.ends.of_call(is_watcher).clone();
    origin.deadline = kind.deadline();
    request.extensions_mut().insert(origin.clone());
    async move {
        let _under_way = under_way;
        let began = Instant::now();
        let responded = respond_by(service, request, respond, kind, &origin, cut_off).await;
        match responded {
            Ok(Responded::Answered) => origin.protection.answered(),
            Ok(Responded::Ended) => {}
            Err(Gone) => {
                let code = ending_code(origin.deadline);
                origin.protection.reset(code, began.elapsed());
            }
        }
    }
}

/// How a request was answered.
enum Responded {
    /// As the layers and what is inside of them say.
    Answered,
    /// With the status that ends a call within the layers.
    Ended,
}

async fn respond_by(
    service: HttpService,
    request: Request<Source>,
    mut respond: SendResponse<Bytes>,
    kind: Kind,
    origin: &Origin,
    cut_off: Arc<CancellationToken>,
) -> Result<Responded, Gone> {
    let uri = request.uri().clone();
    let answered = {
        let mut answer = pin!(answer(&service, request.map(Body::new)));
        let mut ending = Ending::new(origin.deadline, cut_off);
        poll_fn(|cx| match (answer.as_mut().poll(cx), kind) {
            (Poll::Ready(response), _) => Poll::Ready(Ok(response)),
            (Poll::Pending, Kind::Call { .. }) if !origin.is_inside() => {
                ending.poll_end(cx, |cx| respond.poll_reset(cx)).map(Err)
            }
            (Poll::Pending, _) => respond
                .poll_reset(cx)
                .map(|_| Err(End::Reset(Code::Cancelled))),
        })
        .await
    };
    let (response, responded) = match answered {
        Ok(response) => (response, Responded::Answered),
        Err(End::Status(status)) => {
            log_early(uri.path().trim_start_matches('/'), status.code());
            (grpc(&status), Responded::Ended)
        }
        Err(End::Reset(_)) => return Err(Gone),
    };
    let (mut head, body) = response.into_parts();
    for name in OF_CONNECTIONS {
        head.headers.remove(name);
    }
    let is_end = body.is_end_stream();
    if is_end {
        kind.fit(&mut head.headers);
    }
    let head = Response::from_parts(head, ());
    // An error of h2 means that the stream is gone already.
    let stream = respond.send_response(head, is_end);
    let mut stream = stream.map_err(|_| Gone)?;
    if !is_end {
        send(&mut stream, body, kind).await?;
    }
    Ok(responded)
}

/// What a request is.
#[derive(Clone, Copy)]
enum Kind {
    /// Of gRPC.
    Call {
        deadline: Option<Deadline>,
        /// The most bytes of trailers that the caller takes.
        max_trailers: usize,
    },
    Other,
}

impl Kind {
    /// Of a call that states no deadline, it is the default.
    fn of(
        headers: &HeaderMap,
        max_trailers: usize,
        default: impl FnOnce() -> Option<Deadline>,
    ) -> Self {
        if !limits::is_grpc(headers) {
            return Self::Other;
        }
        let timeout = headers.get(deadline::GRPC_TIMEOUT);
        // One that cannot be read is refused further inwards.
        let timeout = timeout.and_then(|value| deadline::decode_timeout(value.as_bytes()).ok());
        Self::Call {
            deadline: timeout.map(Deadline::after).or_else(default),
            max_trailers,
        }
    }

    fn deadline(self) -> Option<Deadline> {
        match self {
            Self::Call { deadline, .. } => deadline,
            Self::Other => None,
        }
    }

    /// Has the trailers of a call be as large as its caller takes.
    fn fit(self, trailers: &mut HeaderMap) {
        if let Self::Call { max_trailers, .. } = self {
            trailers::fit(trailers, max_trailers);
        }
    }
}

/// # Errors
///
/// The caller has gone away, or nothing of what it waits for can reach it.
async fn send(stream: &mut SendStream<Bytes>, body: Body, kind: Kind) -> Result<(), Gone> {
    let mut body = pin!(body);
    let mut has_sent = false;
    loop {
        let frame = poll_fn(|cx| {
            // What a panic leaves half done is dropped with the body.
            let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)));
            match polled {
                Ok(Poll::Ready(frame)) => Poll::Ready(Some(frame)),
                Ok(Poll::Pending) => stream.poll_reset(cx).map(|_| None),
                Err(_) => Poll::Ready(Some(Some(Err(panicked())))),
            }
        });
        match frame.await {
            Some(Some(Ok(frame))) => match frame.into_data() {
                // Empty data says nothing: there is no room to wait for.
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    room(stream, data.len(), kind).await?;
                    stream.send_data(data, false).map_err(|_| Gone)?;
                    has_sent = true;
                }
                Err(frame) => {
                    if has_sent {
                        room(stream, 1, kind).await?;
                    }
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    kind.fit(&mut trailers);
                    return stream.send_trailers(trailers).map_err(|_| Gone);
                }
            },
            Some(Some(Err(status))) => return fail(stream, &status, kind),
            Some(None) => return stream.send_data(Bytes::new(), true).map_err(|_| Gone),
            // The caller does not want the rest.
            None => return Err(Gone),
        }
    }
}

/// Waits until the peer has room for all that was sent, and for some of `bytes` more. A call that waits past its deadline is
/// reset: no status can follow what waits.
async fn room(stream: &mut SendStream<Bytes>, bytes: usize, kind: Kind) -> Result<(), Gone> {
    let Some(deadline) = kind.deadline() else {
        return flow::room_for(stream, bytes).await;
    };
    let room = flow::room_for(stream, bytes);
    match tokio::time::timeout_at(deadline.instant(), room).await {
        Ok(room) => room,
        Err(_) => {
            stream.send_reset(Reason::CANCEL);
            Err(Gone)
        }
    }
}

/// Ends a response whose body fails.
fn fail(stream: &mut SendStream<Bytes>, status: &Status, kind: Kind) -> Result<(), Gone> {
    match (status.code(), kind) {
        // Such as of a call past its deadline, whose peer has no room for more.
        (Code::Cancelled, _) => {
            stream.send_reset(Reason::CANCEL);
            Err(Gone)
        }
        (_, Kind::Call { .. }) => {
            let mut trailers = HeaderMap::new();
            status::write(status, &mut trailers);
            kind.fit(&mut trailers);
            stream.send_trailers(trailers).map_err(|_| Gone)
        }
        (_, Kind::Other) => {
            stream.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
    }
}
