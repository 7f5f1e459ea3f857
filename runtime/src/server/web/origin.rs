//! What a request brings from its stream to the service inside the layers, and what the stream knows of its way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
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
    is_inside: Arc<AtomicBool>,
}

/// Of a call that the service inside has, until the layers have its response or want none.
pub(super) struct Inside(Origin);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.is_inside.store(false, Ordering::Relaxed);
    }
}

impl Inside {
    pub(super) fn origin(&self) -> &Origin {
        &self.0
    }
}

impl Origin {
    pub(in crate::server) fn new(ends: Ends, protection: Arc<Protection>) -> Self {
        Self {
            ends,
            protection,
            deadline: None,
            is_inside: Arc::default(),
        }
    }

    /// Takes it from a request that has arrived.
    pub(super) fn take<B>(request: &mut Request<B>) -> Option<Inside> {
        let origin: Self = request.extensions_mut().remove()?;
        origin.is_inside.store(true, Ordering::Relaxed);
        origin.bound(request.headers_mut());
        Some(Inside(origin))
    }

    /// Whether the service inside has the call, which ends it in time.
    pub(super) fn is_inside(&self) -> bool {
        self.is_inside.load(Ordering::Relaxed)
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
