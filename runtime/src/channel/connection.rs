//! One HTTP/2 connection, and the slot that holds a channel's current one.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::watch,
    task::{self, AbortHandle},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::{
    streams::{Room, Streams},
    target::Target,
};
use crate::{
    limits::{CONNECTION_WINDOW, STREAM_WINDOW},
    policy::{Backoff, RetryPolicy, StatusCodes},
    status,
};

/// A handle to an HTTP/2 connection that has room for one stream more.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    room: Room,
}

impl Connection {
    /// Opens the stream; what it sends goes to the returned handle, and its room is held until it has ended.
    pub(crate) fn send_request(
        mut self,
        request: Request<()>,
    ) -> Result<(ResponseFuture, h2::SendStream<Bytes>, Room), h2::Error> {
        let (response, stream) = self.sender.send_request(request, false)?;
        Ok((response, stream, self.room))
    }
}

/// A connection that streams are opened on.
#[derive(Clone, Debug)]
struct Opened {
    sender: SendRequest<Bytes>,
    streams: Arc<Streams>,
}

/// How a slot makes connections.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) target: Target,
    pub(crate) timeout: Duration,
}

/// A channel's connection: made when first needed, and again when it has ended.
///
/// Callers that arrive while one is being made wait for it together, and fail together.
#[derive(Debug)]
pub(crate) struct Slot {
    connector: Connector,
    state: Arc<watch::Sender<State>>,
    backoff: Arc<Mutex<Backoff>>,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    Connecting,
    Ready {
        connection: Opened,
        driver: AbortHandle,
    },
    /// The attempt that callers waited for failed; the next caller makes another.
    Failed(Failed),
}

#[derive(Clone, Debug)]
struct Failed {
    status: Arc<Status>,
    /// When callers that wait for a connection make another.
    retry_at: Instant,
}

/// The waits between attempts, by gRPC's [connection backoff].
///
/// [connection backoff]: https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
const BACKOFF: RetryPolicy = RetryPolicy {
    max_attempts: u32::MAX,
    initial_backoff: Duration::from_secs(1),
    max_backoff: Duration::from_secs(120),
    backoff_multiplier: 1.6,
    retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
};

/// A connection that closes as soon as it is made, this often in a row, is a failure.
const MAX_PICKS: usize = 4;

impl Slot {
    pub(crate) fn new(connector: Connector) -> Self {
        Self {
            connector,
            state: Arc::new(watch::Sender::new(State::Idle)),
            backoff: Arc::new(Mutex::new(Backoff::new(&BACKOFF))),
        }
    }

    /// A connection with room for a stream; `wait_for_ready` waits until one can be made.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE, with the reason, where none can be made.
    pub(crate) async fn pick(&self, wait_for_ready: bool) -> Result<Connection, Status> {
        loop {
            match self.pick_now().await {
                Err(_) if wait_for_ready => self.wait_to_retry().await,
                picked => return picked,
            }
        }
    }

    async fn pick_now(&self) -> Result<Connection, Status> {
        let mut closed = Status::unavailable("the connection closed");
        for _ in 0..MAX_PICKS {
            let (Opened { sender, streams }, driver) = self.current().await?;
            match streams.room(sender).await {
                Ok((sender, room)) => return Ok(Connection { sender, room }),
                // It closed, or its peer is going away: nothing was sent, so the call takes the next one.
                Err(error) => {
                    self.retire(driver);
                    closed = status::with_source(
                        Code::Unavailable,
                        format!("the connection closed: {error}"),
                        error,
                    );
                }
            }
        }
        Err(closed)
    }

    /// The current connection, and the task that drives it; waits where one is being made.
    async fn current(&self) -> Result<(Opened, task::Id), Status> {
        let mut state = self.state.subscribe();
        let settled = loop {
            self.connect_if_idle();
            let settled = state
                .wait_for(|state| !matches!(state, State::Connecting))
                .await;
            let settled = settled.expect("the slot holds the sender");
            if !matches!(*settled, State::Idle) {
                break settled;
            }
        };
        match &*settled {
            State::Ready { connection, driver } => Ok((connection.clone(), driver.id())),
            State::Failed(failed) => Err(status::copy(&failed.status)),
            State::Idle | State::Connecting => unreachable!("the loop ends with neither"),
        }
    }

    /// Waits until a connection is to be tried again, or somebody has one.
    async fn wait_to_retry(&self) {
        let mut state = self.state.subscribe();
        let retry_at = match &*state.borrow_and_update() {
            State::Failed(failed) => failed.retry_at,
            // A connection that closes as soon as it is made is as good as none.
            _ => Instant::now() + BACKOFF.initial_backoff,
        };
        let ready = state.wait_for(|state| matches!(state, State::Ready { .. }));
        tokio::select! {
            _ = ready => {}
            () = tokio::time::sleep_until(retry_at) => {}
        }
    }

    fn connect_if_idle(&self) {
        let begins = self.state.send_if_modified(|state| {
            let idle = match state {
                State::Idle | State::Failed(_) => true,
                State::Ready { driver, .. } => driver.is_finished(),
                State::Connecting => false,
            };
            if idle {
                *state = State::Connecting;
            }
            idle
        });
        if begins {
            // On a task of its own: the caller that came first may go away while others wait.
            tokio::spawn(
                connect_into(
                    self.connector.clone(),
                    Arc::clone(&self.state),
                    Arc::clone(&self.backoff),
                )
                .in_current_span(),
            );
        }
    }

    /// Gives up the connection that `retired` drives, unless that is done already; calls on it go on.
    fn retire(&self, retired: task::Id) {
        self.state.send_if_modified(|state| {
            let current = matches!(state, State::Ready { driver, .. } if driver.id() == retired);
            if current {
                *state = State::Idle;
            }
            current
        });
    }
}

async fn connect_into(
    connector: Connector,
    slot: Arc<watch::Sender<State>>,
    backoff: Arc<Mutex<Backoff>>,
) {
    let mut outcome = Outcome {
        slot,
        state: Some(State::Idle),
    };
    let connected = match tokio::time::timeout(connector.timeout, connect(&connector.target)).await
    {
        Ok(connected) => connected,
        Err(_) => Err(Status::unavailable(format!(
            "no connection within {:?}",
            connector.timeout
        ))),
    };
    let mut backoff = backoff.lock().unwrap_or_else(PoisonError::into_inner);
    outcome.state = Some(match connected {
        Ok((connection, driver)) => {
            *backoff = Backoff::new(&BACKOFF);
            State::Ready { connection, driver }
        }
        Err(failure) => {
            let message = format!(
                "could not connect to {}: {}",
                connector.target,
                failure.message()
            );
            State::Failed(Failed {
                status: Arc::new(status::with_message(&failure, message)),
                retry_at: Instant::now() + backoff.next_delay(fastrand::f64()),
            })
        }
    });
}

/// What came of connecting, told to the slot when dropped: so waiting callers go on even where the runtime that
/// connected was shut down half-way.
struct Outcome {
    slot: Arc<watch::Sender<State>>,
    state: Option<State>,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.slot.send_replace(state);
        }
    }
}

async fn connect(target: &Target) -> Result<(Opened, AbortHandle), Status> {
    match target {
        Target::Host(authority) => {
            let io = TcpStream::connect(authority.as_str())
                .await
                .map_err(unreachable)?;
            io.set_nodelay(true).map_err(unreachable)?;
            handshake(io).await
        }
        Target::Unix(path) => {
            handshake(UnixStream::connect(path).await.map_err(unreachable)?).await
        }
        #[cfg(test)]
        Target::Scripted(peer) => handshake(peer.connect().map_err(unreachable)?).await,
    }
}

fn unreachable(error: std::io::Error) -> Status {
    status::with_source(Code::Unavailable, error.to_string(), error)
}

async fn handshake<T>(io: T) -> Result<(Opened, AbortHandle), Status>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(io)
        .await
        .map_err(no_http2)?;
    let mut pings = connection
        .ping_pong()
        .expect("the first to ask for it gets it");
    let streams = Arc::new(Streams::new(connection.max_concurrent_send_streams()));
    let watched = Arc::clone(&streams);
    let driver = AbortOnDropHandle::new(tokio::spawn(async move {
        let driven = poll_fn(|cx| {
            watched.driven(cx, |cx| {
                let driven = Pin::new(&mut connection).poll(cx);
                (driven, connection.max_concurrent_send_streams())
            })
        });
        let driven = driven.await;
        watched.end();
        if let Err(error) = driven {
            tracing::debug!(target: "wireloom", %error, "connection ended");
        }
    }));
    // The handshake does not wait for the peer to say anything; its first answer shows that it speaks HTTP/2.
    pings.ping(Ping::opaque()).await.map_err(no_http2)?;
    let driver = driver.detach().abort_handle();
    Ok((Opened { sender, streams }, driver))
}

fn no_http2(error: h2::Error) -> Status {
    let message =
        format!("what answers there does not speak HTTP/2, as a gRPC server does: {error}");
    status::with_source(Code::Unavailable, message, error)
}
