//! Whether the service behind a connection is well ([gRFC A17]).
//!
//! [gRFC A17]: https://github.com/grpc/proposal/blob/master/A17-client-side-health-checking.md

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};

use super::{Condition, Shared, State};
use crate::{
    channel::{connection::Connection, streams::User},
    compression::Compression,
    flow,
    frame::{self, FrameReader},
    health::{HealthCheckRequest, HealthCheckResponse, ServingStatus},
    policy::Backoff,
    response_head, status,
};

const PATH: &str = "/grpc.health.v1.Health/Watch";

/// A watch that lasted so long is made again at once.
const STEADY: Duration = Duration::from_secs(1);

/// No answer about health is longer.
const MAX_MESSAGE_SIZE: usize = 1 << 10;

/// The check of a subchannel's health, if there is one.
#[derive(Debug, Default)]
pub(super) struct HealthCheck {
    service: Option<Arc<str>>,
    health: Health,
    task: Option<AbortOnDropHandle<()>>,
}

#[derive(Clone, Debug, Default)]
enum Health {
    /// Not known yet.
    #[default]
    Unknown,
    Serving,
    NotServing(Arc<Status>),
}

impl Health {
    fn not_serving(service: &str) -> Self {
        let message = format!("the server says that it does not serve {service:?}");
        Self::NotServing(Arc::new(Status::unavailable(message)))
    }
}

impl HealthCheck {
    /// The condition of a subchannel that has a connection.
    pub(super) fn condition(&self) -> Condition {
        match (&self.service, &self.health) {
            (None, _) | (_, Health::Serving) => Condition::Ready,
            (_, Health::Unknown) => Condition::Connecting,
            (_, Health::NotServing(status)) => Condition::TransientFailure(Arc::clone(status)),
        }
    }

    /// Whether that is another than before.
    pub(super) fn set_service(&mut self, service: Option<Arc<str>>) -> bool {
        let changed = self.service != service;
        if changed {
            self.stop();
            self.service = service;
        }
        changed
    }

    pub(super) fn stop(&mut self) {
        self.task = None;
        self.health = Health::Unknown;
    }
}

impl Shared {
    /// Begins to watch the health of the service, if one is to be watched.
    pub(super) fn begin_health_check(self: &Arc<Self>, state: &mut State) {
        let Some(service) = state.health.service.clone() else {
            return;
        };
        let watching = watch(Arc::downgrade(self), service);
        let runtime = state.runtime.as_ref();
        let task = runtime.map(|runtime| AbortOnDropHandle::new(runtime.spawn(watching)));
        state.health.task = task;
    }

    /// A connection with room for a stream of the channel's own; waits for its turn, as calls do.
    async fn open_for_channel(&self) -> Connection {
        loop {
            if let Some(connection) = self.open_for(User::Channel) {
                return connection;
            }
            let _waiting = self.turns.wait();
            self.want_room();
            self.turns.take().await.forget();
        }
    }

    fn set_health(&self, health: Health) {
        self.lock().health.health = health;
        self.tell();
    }
}

/// Watches the health of `service` until it is dropped, or the server has none to tell.
async fn watch(shared: Weak<Shared>, service: Arc<str>) {
    let mut backoff = Backoff::of_connections();
    while let Some(shared) = shared.upgrade() {
        let begun = Instant::now();
        let Err(ended) = watch_once(&shared, &service).await;
        if ended.code() == Code::Unimplemented {
            // As gRFC A17 has it: a server that has nothing to tell is taken for well.
            tracing::warn!(target: "wireloom", "the server does not say how its services are");
            return shared.set_health(Health::Serving);
        }
        if begun.elapsed() > STEADY {
            backoff = Backoff::of_connections();
            continue;
        }
        let message = format!("no word of the health of {service:?}: {}", ended.message());
        shared.set_health(Health::NotServing(Arc::new(Status::unavailable(message))));
        drop(shared);
        sleep(backoff.next_delay(fastrand::f64())).await;
    }
}

async fn watch_once(shared: &Shared, service: &str) -> Result<Infallible, Status> {
    let connection = shared.open_for_channel().await;
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let message = frame::encode(&request)?;
    let opened = connection.send_request(shared.connector.request(PATH));
    let (response, stream, room) = opened.map_err(status::from_h2)?;
    // Dropped in the opposite order: the room is given back last.
    let (_room, mut stream, response) = (room, stream, response);
    stream.send_data(message, true).map_err(status::from_h2)?;
    let response = response.await.map_err(status::from_h2)?;
    let (_, Some(mut body)) = response_head::read(response)? else {
        return Err(Status::unavailable("the watch ended"));
    };
    let mut frames = FrameReader::new(MAX_MESSAGE_SIZE, Compression::Identity);
    while let Some(data) = poll_fn(|cx| flow::poll_data(&mut body, cx)).await {
        frames.push(data.map_err(status::from_h2)?);
        while let Some(message) = frames.next()? {
            let answer: HealthCheckResponse = frame::decode(message)?;
            shared.set_health(match answer.status {
                status if status == ServingStatus::Serving as i32 => Health::Serving,
                _ => Health::not_serving(service),
            });
        }
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx)).await;
    status::from_trailers(trailers.map_err(status::from_h2)?.unwrap_or_default())?;
    Err(Status::unavailable("the watch ended"))
}
