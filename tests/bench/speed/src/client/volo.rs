use std::net::SocketAddr;

use pilota::{Bytes, pb::Message as _};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};

use super::Client;
use crate::{
    Error,
    message::Message,
    volo_proto::{EchoClient, EchoClientBuilder, Payload},
};

#[derive(Clone)]
pub struct Volo(EchoClient);

impl Client for Volo {
    type Request = Payload;
    type Open = JoinHandle<Result<(), Error>>;

    async fn connect(address: SocketAddr) -> Result<Self, Error> {
        let client = EchoClientBuilder::new("speed.Echo")
            .address(volo::net::Address::from(address))
            .build();
        let client = Self(client);
        // It connects at its first call; calls that begin at once would each make a connection.
        client.unary(Payload::default()).await?;
        Ok(client)
    }

    fn request(message: Message, copies: u32) -> Result<Payload, Error> {
        Ok(Payload {
            copies,
            ..Payload::decode(Bytes::from(message.encoded()))?
        })
    }

    async fn unary(&self, request: Payload) -> Result<(), Error> {
        self.0.unary(request).await?;
        Ok(())
    }

    async fn up(&self, request: Payload, count: u32) -> Result<(), Error> {
        self.0.up(requests(request, count)).await?;
        Ok(())
    }

    async fn down(&self, request: Payload) -> Result<u32, Error> {
        count(self.0.down(request).await?.into_inner()).await
    }

    async fn both(&self, request: Payload, sent: u32) -> Result<u32, Error> {
        let responses = self.0.both(requests(request, sent)).await?;
        count(responses.into_inner()).await
    }

    async fn open(&self, request: Payload) -> Result<Self::Open, Error> {
        let client = self.0.clone();
        let (answered, first) = oneshot::channel();
        // The stream borrows from its client: a task holds both.
        let held = tokio::spawn(async move {
            let (sender, requests) = mpsc::channel(1);
            sender.send(request).await?;
            let responses = client.both(ReceiverStream::new(requests)).await?;
            let mut responses = Box::pin(responses.into_inner());
            responses.next().await.ok_or("no answer")??;
            let _ = answered.send(());
            std::future::pending::<Result<(), Error>>().await
        });
        first.await?;
        Ok(held)
    }
}

fn requests(request: Payload, count: u32) -> impl Stream<Item = Payload> {
    tokio_stream::iter(std::iter::repeat_n(request, count as usize))
}

async fn count(
    responses: impl Stream<Item = Result<Payload, volo_grpc::Status>>,
) -> Result<u32, Error> {
    let mut responses = std::pin::pin!(responses);
    let mut count = 0;
    while let Some(response) = responses.next().await {
        response?;
        count += 1;
    }
    Ok(count)
}
