use std::net::SocketAddr;

use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use wireloom::{Channel, Streaming};

use super::Client;
use crate::{
    Error,
    message::Message,
    proto::speed::{EchoClient, Payload},
};

#[derive(Clone)]
pub struct Wireloom(EchoClient);

impl Client for Wireloom {
    type Request = Payload;
    type Open = (mpsc::Sender<Payload>, Streaming<Payload>);

    async fn connect(address: SocketAddr) -> Result<Self, Error> {
        Ok(Self(EchoClient::connect(&address.to_string()).await?))
    }

    async fn pool(address: SocketAddr, connections: usize) -> Result<Vec<Self>, Error> {
        let channel = Channel::builder(&address.to_string()).connections(connections);
        Ok(vec![Self(EchoClient::new(channel.connect().await?))])
    }

    fn request(message: Message, copies: u32) -> Result<Payload, Error> {
        Ok(Payload {
            copies,
            ..Payload::decode(message.encoded().as_slice())?
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
        count(self.0.both(requests(request, sent)).await?.into_inner()).await
    }

    async fn open(&self, request: Payload) -> Result<Self::Open, Error> {
        let (sender, requests) = mpsc::channel(1);
        sender.send(request).await?;
        let responses = self.0.both(ReceiverStream::new(requests)).await?;
        let mut responses = responses.into_inner();
        responses.message().await?.ok_or("no answer")?;
        Ok((sender, responses))
    }
}

fn requests(request: Payload, count: u32) -> impl tokio_stream::Stream<Item = Payload> {
    tokio_stream::iter(std::iter::repeat_n(request, count as usize))
}

async fn count(mut responses: Streaming<Payload>) -> Result<u32, Error> {
    let mut count = 0;
    while responses.message().await?.is_some() {
        count += 1;
    }
    Ok(count)
}
