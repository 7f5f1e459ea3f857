//! One connection: secured, spoken HTTP/2 with, ended.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Reason,
    server::{Builder, Connection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

#[cfg(feature = "http1")]
use super::web::http1;
use super::{
    body::Source,
    connections::Entrance,
    first_poll::FirstPolls,
    lifetime::{Lifetime, Step},
    listener::PeerAddr,
    options::Options,
    peer::Peer,
    preface::{self, Spoken},
    protection::{ConnectionPlace, Flood, FrameGuard, Patient, Protection, ProtectionLimits},
    respond::Respond,
    router::is_asked_of_any_server,
    runtimes::Held,
    stream,
    trailers::TrailersLimit,
    watchdog,
    web::{self, Origin},
};
use crate::{
    deferred::{Deferred, Turns},
    heard::Listening,
    limits::{
        CONNECTION_WINDOW, MAX_FRAME_SIZE, MAX_STREAM_ERRORS, REMEMBERED_RESETS,
        SMALL_FRAMES_BUDGET, STREAM_WINDOW,
    },
};

/// How long the GOAWAY of a connection that is ended may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What of a stream waits for its socket before its call waits too, whatever window its peer opens. It is large enough for
/// messages of 64 KiB to leave without waiting; `h2` has 400 KiB.
const SEND_BUFFER: usize = 160 << 10;

/// How many calls a peer may have cancelled that were not begun yet.
const MIN_PENDING_RESETS: u32 = 1000;

/// Serves a connection, which has its place, and is `held`, for as long as it is there.
pub(super) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    addr: PeerAddr,
    entrance: Arc<Entrance>,
    _place: ConnectionPlace,
    _held: Option<Held>,
) {
    let patience = entrance.shared.options.protection.write_stall_timeout;
    let io = Patient::new(io, patience);
    let closed = entrance.shared.phases.closed();
    tokio::select! {
        served = serve_secured(io, addr, &entrance) => if let Err(error) = served {
            tracing::debug!(target: "wireloom", peer = ?addr, error, "connection ended");
        },
        () = closed.cancelled() => {}
    }
}

async fn serve_secured<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    addr: PeerAddr,
    entrance: &Entrance,
) -> Result<(), String> {
    #[cfg(feature = "tls")]
    if let Some(tls) = &entrance.tls {
        // On the heap, so that a connection in plaintext has no room for what TLS needs.
        return Box::pin(serve_tls(tls, io, addr, entrance)).await;
    }
    serve_http(io, Peer::new(addr), entrance).await
}

#[cfg(feature = "tls")]
async fn serve_tls<T: AsyncRead + AsyncWrite + Unpin>(
    tls: &crate::tls::Acceptor,
    io: T,
    addr: PeerAddr,
    entrance: &Entrance,
) -> Result<(), String> {
    let draining = entrance.shared.phases.draining();
    let (io, identity) = tokio::select! {
        accepted = tls.accept(io) => accepted?,
        // A peer that has not shaken hands yet has no call to lose.
        () = draining.cancelled() => return Ok(()),
    };
    let peer = Peer::with_identity(addr, identity);
    #[cfg(feature = "http1")]
    if entrance.http1.is_some() {
        return serve_http(io, peer, entrance).await;
    }
    // Which its peer speaks, as it said by ALPN.
    let timeout = entrance.shared.options.protection.handshake_timeout;
    let served = serve_http2(io, peer, entrance, timeout).await;
    served.map_err(|error| error.to_string())
}

/// Serves a connection over HTTP/2, or over HTTP/1.1 where that is accepted, as its peer speaks.
async fn serve_http<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    peer: Peer,
    entrance: &Entrance,
) -> Result<(), String> {
    let Entrance { shared, .. } = entrance;
    let began = Instant::now();
    let timeout = shared.options.protection.handshake_timeout;
    let draining = shared.phases.draining();
    // Before `h2` says anything: what it says first, no client of HTTP/1.1 understands.
    let (spoken, io) = tokio::select! {
        heard = tokio::time::timeout(timeout, preface::listen(io)) => match heard {
            Ok(heard) => heard.map_err(|error| error.to_string())?,
            Err(_) => {
                log_silence(&peer);
                return Ok(());
            }
        },
        // A peer that has not said a word yet has no call to lose.
        () = draining.cancelled() => return Ok(()),
    };
    if spoken == Spoken::Http2 {
        let left = timeout.saturating_sub(began.elapsed());
        let served = serve_http2(io, peer, entrance, left).await;
        return served.map_err(|error| error.to_string());
    }
    #[cfg(feature = "http1")]
    if spoken == Spoken::Http1
        && let Some(service) = entrance.http1.clone()
    {
        let lifetime = Lifetime::new(shared.options.lifetime, &shared.phases, peer.addr());
        let served = Box::pin(http1::serve(io, service, peer, lifetime)).await;
        return served.map_err(|error| error.to_string());
    }
    preface::refuse(io, spoken, peer.addr()).await;
    Ok(())
}

/// Serves a connection whose peer speaks HTTP/2, and has so long to send its SETTINGS.
pub(super) async fn serve_http2<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    peer: Peer,
    entrance: &Entrance,
    handshake_timeout: Duration,
) -> Result<(), h2::Error> {
    let turns = Turns::default();
    let served = serve_calls(io, peer, entrance, handshake_timeout, &turns);
    let mut served = pin!(served);
    poll_fn(|cx| {
        turns.next();
        served.as_mut().poll(cx)
    })
    .await
}

async fn serve_calls<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    peer: Peer,
    entrance: &Entrance,
    handshake_timeout: Duration,
    turns: &Turns,
) -> Result<(), h2::Error> {
    let Entrance { shared, web, .. } = entrance;
    let mut lifetime = Lifetime::new(shared.options.lifetime, &shared.phases, peer.addr());
    let heard = shared.options.lifetime.heard();
    let io = Listening::new(io, heard.clone());

    let options = &shared.options;
    let limits = ProtectionLimits {
        handshake_timeout,
        ..options.protection
    };
    let max_streams = options.max_concurrent_streams;
    let protection = Arc::new(Protection::new(&limits, max_streams));
    let alarm = protection.alarm();
    let mut flooded = pin!(alarm.raised());
    let io = Deferred::with_turns(io, turns.clone());
    let io = FrameGuard::new(io, &limits, Arc::clone(alarm));
    let mut unserved = io.unserved(max_streams);
    let peer_settings = io.peer_settings();
    let handshake = http2(options).handshake(io);
    let mut connection = tokio::select! {
        connection = tokio::time::timeout(limits.handshake_timeout, handshake) => match connection {
            Ok(connection) => connection?,
            Err(_) => {
                log_silence(&peer);
                return Ok(());
            }
        },
        // A peer that has not said a word yet has no call to lose.
        () = lifetime.draining().cancelled() => return Ok(()),
    };
    lifetime.begin(heard, connection.ping_pong());
    let _metered = shared.options.metrics.connection();
    let _watched = watchdog::Watch::of(shared.options.blocking_threshold);
    let mut first_polls = FirstPolls::new(shared.calls.clone(), turns.clone());
    let mut trailers_limit = TrailersLimit::default();
    loop {
        let next = poll_fn(|cx| match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((_, mut respond)))) if lifetime.is_over() => {
                // Its caller may make it again on another connection: nothing was done for it.
                respond.send_reset(Reason::REFUSED_STREAM);
                Poll::Ready(Next::Started)
            }
            Poll::Ready(Some(Ok((request, respond)))) => {
                unserved.serve_one();
                let taken = peer_settings.max_header_list_size();
                let max_trailers = trailers_limit.of_call(taken, request.headers());
                let mut request = request.map(Source::Http2);
                peer.extend(request.extensions_mut());
                if let Some(web) = web {
                    let origin = Origin::new(lifetime.ends().clone(), Arc::clone(&protection));
                    let web = web.clone();
                    let exchange = web::serve(shared, web, request, respond, max_trailers, origin);
                    tokio::spawn(Box::pin(exchange));
                    return Poll::Ready(Next::Started);
                }
                let is_watcher = is_asked_of_any_server(request.uri().path());
                let cut_off = lifetime.ends().of_call(is_watcher).clone();
                let respond = Respond::Http2 {
                    respond,
                    max_trailers,
                };
                let protection = Some(Arc::clone(&protection));
                let shared = Arc::clone(shared);
                let call = || stream::serve(shared, request, respond, cut_off, protection);
                match is_watcher {
                    true => drop(tokio::spawn(Box::pin(call()))),
                    false => first_polls.start(call, cx),
                }
                Poll::Ready(Next::Started)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Next::Ended(Err(error))),
            Poll::Ready(None) => Poll::Ready(Next::Ended(Ok(()))),
            // A connection that always has a call does not miss this: a task may not read without end.
            Poll::Pending => {
                if unserved.are_too_many() {
                    alarm.raise(Flood::RefusedStreams);
                }
                match flooded.as_mut().poll(cx) {
                    Poll::Ready(flood) => Poll::Ready(Next::Flooded(flood)),
                    Poll::Pending => lifetime
                        .poll(cx, || connection.has_streams())
                        .map(Next::Step),
                }
            }
        });
        match next.await {
            Next::Started => {}
            Next::Ended(ended) => return ended,
            Next::Step(Step::Drain) => connection.graceful_shutdown(),
            Next::Step(Step::Leave) => return leave(connection, Reason::NO_ERROR).await,
            Next::Step(Step::Close) => return Ok(()),
            Next::Flooded(flood) => {
                tracing::debug!(
                    target: "wireloom",
                    peer = ?peer.addr(),
                    flood = flood.as_str(),
                    limit = flood.limit(),
                    "a peer is cut off"
                );
                return leave(connection, Reason::ENHANCE_YOUR_CALM).await;
            }
        }
    }
}

/// Tells of a peer that has said nothing, or too little, for as long as it may.
fn log_silence(peer: &Peer) {
    tracing::debug!(
        target: "wireloom",
        peer = ?peer.addr(),
        limit = "handshake_timeout",
        "a connection is closed: its peer has not begun to speak"
    );
}

/// What speaks HTTP/2 as this server does.
fn http2(options: &Options) -> Builder {
    let max_streams = options.max_concurrent_streams;
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_SIZE)
        .max_concurrent_streams(max_streams)
        .max_header_list_size(options.protection.max_header_list_size)
        // Calls whose deadline passes while the network stands still arrive together with their cancellation, all at once:
        // that is no attack, and `h2`'s own limit of 20 would end the connection.
        .max_pending_accept_reset_streams(max_streams.max(MIN_PENDING_RESETS) as usize)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS))
        .data_frame_budget(SMALL_FRAMES_BUDGET)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// Ends a connection, and tells its peer by which call.
async fn leave<T: AsyncRead + AsyncWrite + Unpin>(
    mut connection: Connection<T, Bytes>,
    reason: Reason,
) -> Result<(), h2::Error> {
    connection.abrupt_shutdown(reason);
    let closed = poll_fn(|cx| connection.poll_closed(cx));
    let closed = tokio::time::timeout(LAST_WORDS, closed).await;
    closed.unwrap_or(Ok(()))
}

/// What comes next on a connection.
enum Next {
    Started,
    Ended(Result<(), h2::Error>),
    Step(Step),
    Flooded(Flood),
}
