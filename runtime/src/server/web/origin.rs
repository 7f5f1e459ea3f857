//! What a request brings from its stream to the service inside the layers, and what the stream knows of its way.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use http::{HeaderMap, Request};

use crate::{
    deadline::{self, Deadline, GRPC_TIMEOUT},
    server::{lifetime::Ends, protection::Protection},
};

/// Where a call comes from, in the extensions of its request while that is in the layers.
#[derive(Clone)]
pub(in crate::server) struct Origin {
    pub(in crate::server) ends: Ends,
    pub(in crate::server) protection: Arc<Protection>,
    /// Of the call, counted from when it was received.
    pub(in crate::server) deadline: Option<Deadline>,
    /// The most bytes of trailers that the caller takes.
    pub(in crate::server) max_trailers: usize,
    way: Arc<AtomicU8>,
}

/// Where a request is. The layers alone have it but for when it is inside.
const BEFORE: u8 = 0;
const INSIDE: u8 = 1;
const BEHIND: u8 = 2;

/// Of a call that the service inside has, until the layers have its response or want none.
pub(super) struct Inside(Origin);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.way.store(BEHIND, Ordering::Relaxed);
    }
}

impl Inside {
    pub(super) fn origin(&self) -> &Origin {
        &self.0
    }
}

impl Origin {
    pub(in crate::server) fn new(
        ends: Ends,
        protection: Arc<Protection>,
        max_trailers: usize,
    ) -> Self {
        Self {
            ends,
            protection,
            deadline: None,
            max_trailers,
            way: Arc::default(),
        }
    }

    /// Takes it from a request that has arrived.
    pub(super) fn take<B>(request: &mut Request<B>) -> Option<Inside> {
        let origin: Self = request.extensions_mut().remove()?;
        origin.way.store(INSIDE, Ordering::Relaxed);
        origin.bound(request.headers_mut());
        Some(Inside(origin))
    }

    /// Whether the service inside has the call, which ends it in time.
    pub(super) fn is_inside(&self) -> bool {
        self.way.load(Ordering::Relaxed) == INSIDE
    }

    /// Whether the service inside has had the call, and counts what becomes of it.
    pub(super) fn has_arrived(&self) -> bool {
        self.way.load(Ordering::Relaxed) != BEFORE
    }

    /// Has `headers` state no more time than the call has left. What cannot be read is for the service inside to refuse.
    fn bound(&self, headers: &mut HeaderMap) {
        let Some(left) = self.deadline.map(Deadline::remaining) else {
            return;
        };
        let stated = headers.get(GRPC_TIMEOUT);
        let stated = stated.map(|value| deadline::decode_timeout(value.as_bytes()));
        match stated {
            Some(Err(_)) => {}
            Some(Ok(stated)) if stated <= left => {}
            Some(Ok(_)) | None => {
                headers.insert(GRPC_TIMEOUT, deadline::encode_timeout(left));
            }
        }
    }
}
