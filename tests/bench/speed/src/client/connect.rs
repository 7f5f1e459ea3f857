use std::net::SocketAddr;

use buffa::Message as _;
use connectrpc::{
    Protocol,
    client::{ClientConfig, Http2Connection, SharedHttp2Connection},
};

use super::Client;
use crate::{
    Error,
    connect_proto::{EchoClient, Payload},
    message::Message,
};

/// How many calls may wait for the connection: its documentation's number.
const BOUND: usize = 1024;

#[derive(Clone)]
pub struct Connect(EchoClient<SharedHttp2Connection>);

impl Client for Connect {
    type Request = Payload;
    type Open = Box<dyn std::any::Any + Send>;

    async fn connect(address: SocketAddr) -> Result<Self, Error> {
        let uri: http::Uri = format!("http://{address}").parse()?;
        let connection = Http2Connection::connect_plaintext(uri.clone()).await?;
        let config = ClientConfig::new(uri).with_protocol(Protocol::Grpc);
        Ok(Self(EchoClient::new(connection.shared(BOUND), config)))
    }

    fn request(message: Message, copies: u32) -> Result<Payload, Error> {
        Ok(Payload {
            copies,
            ..Payload::decode_from_slice(&message.encoded())?
        })
    }

    async fn unary(&self, request: Payload) -> Result<(), Error> {
        // As others do, to a message of its own.
        let _ = self.0.unary(request).await?.into_owned();
        Ok(())
    }

    async fn up(&self, request: Payload, count: u32) -> Result<(), Error> {
        let requests = std::iter::repeat_n(request, count as usize);
        self.0.up(connectrpc::stream_iter(requests)).await?;
        Ok(())
    }

    async fn down(&self, request: Payload) -> Result<u32, Error> {
        let mut responses = self.0.down(request).await?;
        let mut count = 0;
        while let Some(response) = responses.message::<Payload>().await? {
            let _ = response.to_owned_message();
            count += 1;
        }
        Ok(count)
    }

    async fn both(&self, request: Payload, count: u32) -> Result<u32, Error> {
        let (mut requests, mut responses) = self.0.both().await?.into_split();
        let sent = tokio::spawn(async move {
            for _ in 0..count {
                requests.send(request.clone()).await?;
            }
            requests.close_send();
            Ok::<_, connectrpc::ConnectError>(())
        });
        let mut received = 0;
        while let Some(response) = responses.message::<Payload>().await? {
            let _ = response.to_owned_message();
            received += 1;
        }
        sent.await??;
        Ok(received)
    }

    async fn open(&self, request: Payload) -> Result<Self::Open, Error> {
        let mut stream = self.0.both().await?;
        stream.send(request).await?;
        stream.message::<Payload>().await?.ok_or("no answer")?;
        Ok(Box::new(stream))
    }
}
