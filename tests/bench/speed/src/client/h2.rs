use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes};
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{HeaderValue, Method, Request, Version, header};
use tokio::net::TcpStream;

use super::Client;
use crate::{Error, frames, message::Message};

/// No client at all: frames straight on `h2`.
#[derive(Clone)]
pub struct H2 {
    sender: SendRequest<Bytes>,
    address: SocketAddr,
}

#[derive(Clone)]
pub struct Frame {
    bytes: Bytes,
    copies: u32,
}

impl Client for H2 {
    type Request = Frame;
    type Open = (SendStream<Bytes>, RecvStream);

    async fn connect(address: SocketAddr) -> Result<Self, Error> {
        let io = TcpStream::connect(address).await?;
        io.set_nodelay(true)?;
        let (sender, connection) = Builder::new()
            .initial_window_size(frames::STREAM_WINDOW)
            .initial_connection_window_size(frames::CONNECTION_WINDOW)
            .handshake(io)
            .await?;
        tokio::spawn(connection);
        Ok(Self { sender, address })
    }

    fn request(message: Message, copies: u32) -> Result<Frame, Error> {
        let mut encoded = message.encoded();
        if copies > 0 {
            // `copies` is field 1, a varint.
            encoded.put_u8(1 << 3);
            prost::encoding::encode_varint(u64::from(copies), &mut encoded);
        }
        Ok(Frame {
            bytes: frames::frame(&encoded)?,
            copies,
        })
    }

    async fn unary(&self, request: Frame) -> Result<(), Error> {
        let (response, mut stream) = self.start("Unary").await?;
        stream.send_data(request.bytes.clone(), true)?;
        let received = read(response).await?;
        check(received == request.bytes.len())
    }

    async fn up(&self, request: Frame, count: u32) -> Result<(), Error> {
        let (response, mut stream) = self.start("Up").await?;
        frames::send_copies(&mut stream, &request.bytes, count).await?;
        stream.send_data(Bytes::new(), true)?;
        check(read(response).await? > 0)
    }

    async fn down(&self, request: Frame) -> Result<u32, Error> {
        let (response, mut stream) = self.start("Down").await?;
        stream.send_data(request.bytes.clone(), true)?;
        let received = read(response).await?;
        check(received == request.bytes.len() * request.copies as usize)?;
        Ok(request.copies)
    }

    async fn both(&self, request: Frame, count: u32) -> Result<u32, Error> {
        let (response, mut stream) = self.start("Both").await?;
        let size = request.bytes.len();
        let sent = tokio::spawn(async move {
            frames::send_copies(&mut stream, &request.bytes, count).await?;
            stream.send_data(Bytes::new(), true)?;
            Ok::<_, Error>(())
        });
        let received = read(response).await?;
        sent.await??;
        check(received == size * count as usize)?;
        Ok(count)
    }

    async fn open(&self, request: Frame) -> Result<Self::Open, Error> {
        let (response, mut stream) = self.start("Both").await?;
        stream.send_data(request.bytes, false)?;
        let mut body = response.await?.into_body();
        frames::receive(&mut body).await?.ok_or("no answer")?;
        Ok((stream, body))
    }
}

impl H2 {
    async fn start(&self, method: &str) -> Result<(ResponseFuture, SendStream<Bytes>), Error> {
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("http://{}/speed.Echo/{method}", self.address).parse()?;
        let headers = request.headers_mut();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        let mut sender = self.sender.clone().ready().await?;
        Ok(sender.send_request(request, false)?)
    }
}

/// Reads a response to its status; gives how many bytes came.
async fn read(response: ResponseFuture) -> Result<usize, Error> {
    let response = response.await?;
    let head = response.headers().get("grpc-status").cloned();
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(data) = frames::receive(&mut body).await? {
        received += data.len();
    }
    let trailers = body.trailers().await?;
    let status = trailers.and_then(|trailers| trailers.get("grpc-status").cloned());
    match status.or(head) {
        Some(status) if status == "0" => Ok(received),
        status => Err(format!("the call ended with status {status:?}").into()),
    }
}

fn check(expected: bool) -> Result<(), Error> {
    match expected {
        true => Ok(()),
        false => Err("the answer is not what was sent".into()),
    }
}
