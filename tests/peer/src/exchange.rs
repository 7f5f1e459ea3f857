//! One request, and what the peer does with it.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, Response, StatusCode};

use crate::{
    act::{Act, Step},
    peer::{Peer, go_away},
    wire::Injector,
};

/// A request that is being answered.
pub(crate) struct Exchange {
    peer: Arc<Peer>,
    index: usize,
    injector: Injector,
    stream: u32,
    response: Outgoing,
}

/// The response's side of a stream.
enum Outgoing {
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    /// It has ended; steps that follow are about the connection.
    Ended,
}

/// The caller has reset the stream, or the connection has ended: no step follows.
struct Gone;

impl From<h2::Error> for Gone {
    fn from(_: h2::Error) -> Self {
        Self
    }
}

impl Exchange {
    pub(crate) fn new(
        peer: Arc<Peer>,
        index: usize,
        injector: Injector,
        respond: SendResponse<Bytes>,
    ) -> Self {
        Self {
            peer,
            index,
            injector,
            stream: respond.stream_id().as_u32(),
            response: Outgoing::Head(respond),
        }
    }

    /// Takes the steps of `act`, and reads `body` meanwhile.
    pub(crate) async fn run(self, act: Act, body: RecvStream) {
        let hold = AtomicBool::new(false);
        let peer = Arc::clone(&self.peer);
        let read = read(&peer, self.index, body, &hold);
        // The steps first: a window that they hold is held from the first byte on.
        tokio::join!(biased; self.act(act, &hold), read);
    }

    async fn act(mut self, act: Act, hold: &AtomicBool) {
        for step in act.steps {
            if self.step(step, hold).await.is_err() {
                return;
            }
        }
        // Left open: dropping it would end it.
        if !matches!(self.response, Outgoing::Ended) {
            self.until_reset().await;
        }
    }

    async fn step(&mut self, step: Step, hold: &AtomicBool) -> Result<(), Gone> {
        let index = self.index;
        match step {
            Step::ReadMessages(count) => {
                let peer = &self.peer;
                peer.until(|seen| seen[index].has_ended() || seen[index].messages().len() >= count)
                    .await;
            }
            Step::ReadAll => self.peer.until(|seen| seen[index].has_ended()).await,
            Step::HoldWindow => hold.store(true, Ordering::Relaxed),
            Step::Wait(milliseconds) => {
                let sleep = tokio::time::sleep(Duration::from_millis(milliseconds));
                tokio::select! {
                    () = sleep => {}
                    () = self.until_reset() => return Err(Gone),
                }
            }
            Step::Headers {
                http_status,
                fields,
                end_stream,
            } => self.send_head(http_status, fields, end_stream)?,
            Step::Data(data) => self.body().send_data(data.into(), false)?,
            Step::End => {
                self.body().send_data(Bytes::new(), true)?;
                self.response = Outgoing::Ended;
            }
            Step::Trailers(fields) => {
                self.body().send_trailers(fields)?;
                self.response = Outgoing::Ended;
            }
            Step::Reset(reason) => {
                match &mut self.response {
                    Outgoing::Head(respond) => respond.send_reset(reason),
                    Outgoing::Body(stream) => stream.send_reset(reason),
                    Outgoing::Ended => panic!("a script resets a stream before its end"),
                }
                self.response = Outgoing::Ended;
            }
            Step::GoAway(last, reason) => go_away(&self.injector, last.id(self.stream), reason),
            Step::Frame(kind, flags, payload) => {
                self.injector.frame(kind, flags, self.stream, &payload);
            }
            Step::Close => self.injector.close(),
        }
        Ok(())
    }

    fn send_head(
        &mut self,
        http_status: u16,
        fields: HeaderMap,
        end_stream: bool,
    ) -> Result<(), Gone> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(http_status).expect("an HTTP status");
        *response.headers_mut() = fields;
        let Outgoing::Head(respond) = &mut self.response else {
            panic!("a script sends headers once, and first");
        };
        let stream = respond.send_response(response, end_stream)?;
        self.response = match end_stream {
            true => Outgoing::Ended,
            false => Outgoing::Body(stream),
        };
        Ok(())
    }

    fn body(&mut self) -> &mut SendStream<Bytes> {
        let Outgoing::Body(stream) = &mut self.response else {
            panic!("a script sends messages and trailers between headers and the end");
        };
        stream
    }

    /// Waits until the caller resets the stream, or the connection ends.
    async fn until_reset(&mut self) {
        let reset = poll_fn(|cx| self.poll_reset(cx)).await;
        if let Ok(reason) = reset {
            self.peer
                .update(self.index, |seen| seen.reset = Some(reason));
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        match &mut self.response {
            Outgoing::Head(respond) => respond.poll_reset(cx),
            Outgoing::Body(stream) => stream.poll_reset(cx),
            Outgoing::Ended => Poll::Pending,
        }
    }
}

/// Records the body as it comes.
async fn read(peer: &Peer, index: usize, mut body: RecvStream, hold: &AtomicBool) {
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                if !hold.load(Ordering::Relaxed) {
                    let _ = body.flow_control().release_capacity(data.len());
                }
                peer.update(index, |seen| seen.body.extend_from_slice(&data));
            }
            Err(error) => {
                let reset = error.reason().filter(|_| error.is_reset());
                return peer.update(index, |seen| seen.reset = reset.or(seen.reset));
            }
        }
    }
    peer.update(index, |seen| seen.half_closed = true);
}
