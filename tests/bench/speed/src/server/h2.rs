//! No server at all: frames straight on `h2`, and messages are not decoded. Clients are measured against it.

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};

use crate::{Error, frames, proto::speed::Payload};

/// As many as the loads have open on one connection, and more.
const MAX_STREAMS: u32 = 4096;

pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    loop {
        let (io, _) = listener.accept().await?;
        // A client that goes away is none of the server's business.
        tokio::spawn(async move { drop(serve_connection(io).await) });
    }
}

async fn serve_connection(io: TcpStream) -> Result<(), Error> {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(frames::STREAM_WINDOW)
        .initial_connection_window_size(frames::CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .handshake(io)
        .await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        tokio::spawn(async move { drop(answer(request, respond).await) });
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Result<(), Error> {
    let (head, mut body) = request.into_parts();
    let mut stream = match head.uri.path() {
        "/speed.Echo/Unary" => {
            let request = read(&mut body).await?;
            let mut stream = respond_ok(respond)?;
            stream.send_data(request, false)?;
            stream
        }
        "/speed.Echo/Up" => {
            let answer = last_frame(&mut body).await?;
            let mut stream = respond_ok(respond)?;
            stream.send_data(answer, false)?;
            stream
        }
        "/speed.Echo/Down" => {
            let request = read(&mut body).await?;
            let copies = Payload::decode(request.slice(frames::PREFIX..))?.copies;
            let mut stream = respond_ok(respond)?;
            frames::send_copies(&mut stream, &request, copies).await?;
            stream
        }
        _ => {
            let mut stream = respond_ok(respond)?;
            while let Some(data) = frames::receive(&mut body).await? {
                frames::send(&mut stream, data).await?;
            }
            stream
        }
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)?;
    Ok(())
}

fn respond_ok(mut respond: SendResponse<Bytes>) -> Result<SendStream<Bytes>, Error> {
    let mut head = Response::new(());
    head.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    Ok(respond.send_response(head, false)?)
}

async fn read(body: &mut RecvStream) -> Result<Bytes, Error> {
    let first = frames::receive(body).await?.ok_or("no request")?;
    let mut rest = BytesMut::new();
    while let Some(data) = frames::receive(body).await? {
        if rest.is_empty() {
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    Ok(match rest.is_empty() {
        true => first,
        false => rest.freeze(),
    })
}

/// Reads all, and keeps no more than one frame.
async fn last_frame(body: &mut RecvStream) -> Result<Bytes, Error> {
    let (mut buffered, mut last) = (BytesMut::new(), Bytes::new());
    while let Some(data) = frames::receive(body).await? {
        buffered.extend_from_slice(&data);
        while let Some(len) = frames::len(&buffered)
            && buffered.len() >= len
        {
            last = buffered.split_to(len).freeze();
        }
    }
    Ok(last)
}
