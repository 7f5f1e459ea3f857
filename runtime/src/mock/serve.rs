//! How a mock answers calls: what the four kinds of generated methods delegate to.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use prost::Message;
use tokio_stream::{Stream, iter};
use tonic::{Request, Response, Status};

use super::{
    Mock, Replies, lock,
    script::{Make, Script, Taken},
};
use crate::{method::Method, server::MessageStream, streaming::Streaming};

impl Mock {
    /// Answers a call with one request and one response.
    ///
    /// # Errors
    ///
    /// The status that is scripted; UNIMPLEMENTED where nothing is. So do the other three.
    pub async fn unary<Req, Res>(
        &self,
        method: &'static Method<Req, Res>,
        request: Request<Req>,
    ) -> Result<Response<Res>, Status>
    where
        Req: Clone + Send + 'static,
        Res: Clone + Send + 'static,
    {
        let script = self.script::<_, _, Req, Res>(method);
        let (call, answer) = script.begin(request);
        answer?.made(&script, call).await
    }

    /// Answers a call with one request and many responses.
    pub async fn server_streaming<Req, Res>(
        &self,
        method: &'static Method<Req, Res>,
        request: Request<Req>,
    ) -> Result<Response<impl MessageStream<Res> + use<Req, Res>>, Status>
    where
        Req: Clone + Send + 'static,
        Res: Clone + Send + 'static,
    {
        let script = self.script::<_, _, Req, Vec<Result<Res, Status>>>(method);
        let (call, answer) = script.begin(request);
        Ok(answer?.made(&script, call).await?.map(iter))
    }

    /// Answers a call with many requests and one response, when all requests have come.
    pub async fn client_streaming<Req, Res>(
        &self,
        method: &'static Method<Req, Res>,
        requests: Request<Streaming<Req>>,
    ) -> Result<Response<Res>, Status>
    where
        Req: Message + Clone + Default + 'static,
        Res: Clone + Send + 'static,
    {
        let script = self.script::<_, _, Vec<Req>, Res>(method);
        let (head, messages) = split(requests);
        let (call, answer) = script.begin(head);
        let answer = answer?;
        let mut requests = Requests {
            messages,
            script: Arc::clone(&script),
            call,
        };
        requests.read_all().await?;
        answer.made(&script, call).await
    }

    /// Answers a call with many requests and many responses.
    pub async fn bidi_streaming<Req, Res>(
        &self,
        method: &'static Method<Req, Res>,
        requests: Request<Streaming<Req>>,
    ) -> Result<Response<impl MessageStream<Res> + use<Req, Res>>, Status>
    where
        Req: Message + Clone + Default + 'static,
        Res: Clone + Send + Unpin + 'static,
    {
        let script = self.script::<_, _, Vec<Req>, Replies<Req, Res>>(method);
        let (head, messages) = split(requests);
        let (call, answer) = script.begin(head);
        let answer = answer?;
        let mut requests = Requests {
            messages,
            script: Arc::clone(&script),
            call,
        };
        if let Make::By(_) = answer.make {
            requests.read_all().await?;
        }
        let response = answer.made(&script, call).await?;
        Ok(response.map(|replies| Conversation { requests, replies }))
    }
}

impl<In: Clone, Out> Taken<In, Out> {
    /// The answer, when it is due.
    async fn made(self, script: &Script<In, Out>, call: usize) -> Result<Response<Out>, Status> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        match self.make {
            Make::Given(answer) => Ok(Response::new(answer)),
            Make::Failed(status) => Err(status),
            Make::By(handler) => {
                let request = script.call(call).expect("no call is ever taken out");
                script.run(|| lock(&handler)(&request))
            }
        }
    }
}

/// A call's head, with room for its messages, and the stream of them.
fn split<Req>(requests: Request<Streaming<Req>>) -> (Request<Vec<Req>>, Streaming<Req>) {
    let (metadata, extensions, messages) = requests.into_parts();
    (
        Request::from_parts(metadata, extensions, Vec::new()),
        messages,
    )
}

/// The requests of a call, each of which is kept as it is read.
struct Requests<Req, Out> {
    messages: Streaming<Req>,
    script: Arc<Script<Vec<Req>, Out>>,
    call: usize,
}

impl<Req: Message + Clone + Default, Out> Requests<Req, Out> {
    async fn read_all(&mut self) -> Result<(), Status> {
        while let Some(message) = self.messages.message().await? {
            self.script.push(self.call, message);
        }
        Ok(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Req, Status>>> {
        let message = ready!(Pin::new(&mut self.messages).poll_next(cx));
        if let Some(Ok(message)) = &message {
            self.script.push(self.call, message.clone());
        }
        Poll::Ready(message)
    }
}

/// The responses of a bidirectional call, which reads its requests as it goes.
struct Conversation<Req, Res> {
    requests: Requests<Req, Replies<Req, Res>>,
    replies: Replies<Req, Res>,
}

impl<Req: Message + Clone + Default, Res: Unpin> Stream for Conversation<Req, Res> {
    type Item = Result<Res, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let conversation = self.get_mut();
        loop {
            if let Some(reply) = conversation.replies.unasked() {
                return Poll::Ready(Some(reply));
            }
            let reply = match ready!(conversation.requests.poll_next(cx)) {
                Some(Ok(request)) => {
                    let replies = &mut conversation.replies;
                    conversation.requests.script.run(|| replies.to(&request))
                }
                Some(Err(status)) => Some(Err(status)),
                None => return Poll::Ready(None),
            };
            if reply.is_some() {
                return Poll::Ready(reply);
            }
        }
    }
}
