use std::net::SocketAddr;

use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};

use super::Client;
use crate::{
    Error,
    message::Message,
    tonic_proto::{Payload, echo_client::EchoClient},
};

#[derive(Clone)]
pub struct Tonic(EchoClient<Channel>);

impl Client for Tonic {
    type Request = Payload;
    type Open = (mpsc::Sender<Payload>, Streaming<Payload>);

    async fn connect(address: SocketAddr) -> Result<Self, Error> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(Self(EchoClient::new(channel.connect().await?)))
    }

    async fn pool(address: SocketAddr, connections: usize) -> Result<Vec<Self>, Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = Channel::balance_list(std::iter::repeat_n(endpoint, connections));
        Ok(vec![Self(EchoClient::new(channel))])
    }

    fn request(message: Message, copies: u32) -> Result<Payload, Error> {
        Ok(Payload {
            copies,
            ..Payload::decode(message.encoded().as_slice())?
        })
    }

    async fn unary(&self, request: Payload) -> Result<(), Error> {
        self.0.clone().unary(request).await?;
        Ok(())
    }

    async fn up(&self, request: Payload, count: u32) -> Result<(), Error> {
        self.0.clone().up(requests(request, count)).await?;
        Ok(())
    }

    async fn down(&self, request: Payload) -> Result<u32, Error> {
        count(self.0.clone().down(request).await?.into_inner()).await
    }

    async fn both(&self, request: Payload, sent: u32) -> Result<u32, Error> {
        let responses = self.0.clone().both(requests(request, sent)).await?;
        count(responses.into_inner()).await
    }

    async fn open(&self, request: Payload) -> Result<Self::Open, Error> {
        let (sender, requests) = mpsc::channel(1);
        sender.send(request).await?;
        let responses = self.0.clone().both(ReceiverStream::new(requests)).await?;
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
