//! One connection of the peer.

use std::sync::Arc;

use bytes::Bytes;
use h2::server::Builder;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use crate::{
    exchange::Exchange,
    peer::Peer,
    seen::Seen,
    wire::{Injector, Wire},
};

/// Serves one connection, each request on a task of its own.
pub(crate) async fn serve<T>(peer: Arc<Peer>, io: T)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let injector = Injector::default();
    let mut builder = Builder::new();
    if let Some(max) = peer.max_concurrent_streams {
        builder.max_concurrent_streams(max);
    }
    let handshake = builder.handshake::<_, Bytes>(Wire::new(io, injector.clone()));
    let Ok(mut http2) = handshake.await else {
        return;
    };
    let connection = peer.count_connection(injector.clone());
    while let Some(Ok((request, respond))) = http2.accept().await {
        let (head, body) = request.into_parts();
        let index = peer.record(Seen {
            at: Instant::now(),
            connection,
            stream: respond.stream_id().as_u32(),
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body: Vec::new(),
            half_closed: body.is_end_stream(),
            reset: None,
        });
        let exchange = Exchange::new(Arc::clone(&peer), index, injector.clone(), respond);
        tokio::spawn(exchange.run(peer.next_act(), body));
    }
}
