//! Interceptors around the dispatch of a call.

use std::{pin::pin, sync::Arc};

use http::HeaderMap;
use tonic::{Code, metadata::MetadataMap};

use super::{
    Call,
    body::{Reply, ReplyBody},
    connections::Shared,
};
use crate::{
    deadline::Deadline,
    interceptor::{InterceptedCall, Observers},
};

/// Answers `call` by its service, where it may be called; where interceptors observe it, through them.
pub(super) async fn dispatch(
    shared: &Shared,
    mut call: Call,
    observers: Option<&Arc<Observers>>,
) -> Reply {
    if let Some(authorizer) = &shared.authorizer {
        authorizer.admit(&mut call, &shared.options.metrics).await;
    }
    match observers {
        None => pin!(shared.router.call(call)).await,
        // On the heap, so that calls without interceptors have no room for them.
        Some(observers) => Box::pin(intercept(shared, call, observers)).await,
    }
}

async fn intercept(shared: &Shared, mut call: Call, observers: &Arc<Observers>) -> Reply {
    // What a failure says in headers, such as the encodings that there are, is said of whatever status comes of it.
    let mut explained = HeaderMap::new();
    let headers_of_failure = &mut explained;
    let head = &mut call.parts.head;
    let deadline = head.extensions.get::<Deadline>().copied();
    let intercepted = InterceptedCall::new(
        head.uri.path(),
        MetadataMap::from_headers(std::mem::take(&mut head.headers)),
        std::mem::take(&mut head.extensions),
        deadline,
        Arc::clone(observers),
    );
    let last = |intercepted: InterceptedCall| async move {
        let (metadata, extensions) = intercepted.into_parts();
        call.parts.head.headers = metadata.into_headers();
        call.parts.head.extensions = extensions;
        let reply = shared.router.call(call).await;
        match reply.body {
            ReplyBody::TrailersOnly(status) if status.code() != Code::Ok => {
                *headers_of_failure = reply.headers;
                Err(status)
            }
            body => Ok((reply.headers, body)),
        }
    };
    match shared.options.interceptors.run(intercepted, last).await {
        Ok((headers, body)) => Reply { headers, body },
        Err(status) => Reply {
            headers: explained,
            ..Reply::status(status)
        },
    }
}
