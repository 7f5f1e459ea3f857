//! A client, or a server, that says what it likes: frames by hand over TCP, for what no HTTP/2 library would send.

use std::{io, net::SocketAddr};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const HEADER_LEN: usize = 9;

/// How much is written at a time while answers are looked for.
const PIECE: usize = 16 << 10;

/// What a connection of HTTP/2 begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames (RFC 9113 section 6).
#[allow(missing_docs)]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// Of DATA and HEADERS.
pub const PADDED: u8 = 8;
/// Of SETTINGS and PING.
pub const ACK: u8 = 1;
/// Of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_LEN + payload.len());
    frame.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// SETTINGS with these parameters.
pub fn settings(parameters: &[(u16, u32)]) -> Vec<u8> {
    let parameters = parameters.iter();
    let payload = parameters.flat_map(|(id, value)| {
        let id = id.to_be_bytes().into_iter();
        id.chain(value.to_be_bytes())
    });
    frame(kind::SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
}

/// A header field that no table keeps.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        integer(text.len(), &mut field);
        field.extend_from_slice(text.as_bytes());
    }
    field
}

/// The length of a text that is not Huffman coded (RFC 7541 section 5.1).
fn integer(mut value: usize, out: &mut Vec<u8>) {
    if value < 127 {
        out.push(value as u8);
        return;
    }
    out.push(127);
    value -= 127;
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The header block of a call of gRPC.
pub fn head(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "peer"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields.iter().flat_map(|(n, v)| field(n, v)).collect()
}

/// A message in its frame of gRPC.
pub fn message(bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    message.extend_from_slice(bytes);
    message
}

/// A call with one message.
pub fn call(stream: u32, path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut call = frame(kind::HEADERS, END_HEADERS, stream, &head(path));
    call.extend(frame(kind::DATA, END_STREAM, stream, &message(bytes)));
    call
}

/// A frame that came.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct RawFrame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Bytes,
}

impl RawFrame {
    /// The code of RST_STREAM.
    pub fn code(&self) -> u32 {
        let code = self.payload.first_chunk().copied();
        code.map_or(0, u32::from_be_bytes)
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With GOAWAY: its code and its debug data.
    GoneAway(u32, String),
    /// Without a word.
    Closed,
}

/// A connection to a server, or one of a client's.
#[derive(Debug)]
pub struct Raw {
    io: TcpStream,
    read: BytesMut,
}

impl Raw {
    /// Connects, and says nothing.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(address).await?)
    }

    /// Takes a client's connection, reads its preface, and says nothing.
    pub async fn accept(listener: &TcpListener) -> io::Result<Self> {
        let (io, _) = listener.accept().await?;
        let mut raw = Self::new(io)?;
        let mut preface = [0; PREFACE.len()];
        raw.io.read_exact(&mut preface).await?;
        match preface == *PREFACE {
            true => Ok(raw),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn new(io: TcpStream) -> io::Result<Self> {
        io.set_nodelay(true)?;
        Ok(Self {
            io,
            read: BytesMut::new(),
        })
    }

    /// Connects and begins to speak HTTP/2, with these settings.
    pub async fn begin(address: SocketAddr, parameters: &[(u16, u32)]) -> io::Result<Self> {
        let mut raw = Self::connect(address).await?;
        raw.send(PREFACE).await?;
        raw.send(&settings(parameters)).await?;
        raw.send(&frame(kind::SETTINGS, ACK, 0, &[])).await?;
        Ok(raw)
    }

    /// Writes bytes, whatever they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await
    }

    /// Says that nothing more comes.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.io.shutdown().await
    }

    /// The next frame, or `None` at the end.
    pub async fn frame(&mut self) -> io::Result<Option<RawFrame>> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            if self.io.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads until a frame is of this kind; `None` where none comes.
    pub async fn until(&mut self, kind: u8) -> io::Result<Option<RawFrame>> {
        while let Some(frame) = self.frame().await? {
            if frame.kind == kind {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Reads until the server has ended the connection.
    pub async fn ended(&mut self) -> Ended {
        let mut ended = Ended::Closed;
        while let Ok(Some(frame)) = self.frame().await {
            if frame.kind == kind::GOAWAY && frame.payload.len() >= 8 {
                let mut payload = frame.payload;
                payload.advance(4);
                let code = payload.get_u32();
                ended = Ended::GoneAway(code, String::from_utf8_lossy(&payload).into_owned());
            }
        }
        ended
    }

    /// Sends what `next` makes, given 1, 3, 5 and so on, until the server ends the connection, reading what it answers;
    /// up to `most` bytes. Gives how it ended; `None` where the server did not end it.
    pub async fn flood(
        &mut self,
        most: usize,
        mut next: impl FnMut(u32) -> Vec<u8>,
    ) -> Option<Ended> {
        let (mut sent, mut count) = (0, 0);
        let mut piece = Vec::new();
        while sent < most {
            while piece.len() < PIECE {
                piece.extend(next(2 * count + 1));
                count += 1;
            }
            let mut left = piece.as_slice();
            while !left.is_empty() {
                let (mut read, mut write) = self.io.split();
                tokio::select! {
                    written = write.write(left) => match written {
                        Ok(written) => left = &left[written..],
                        Err(_) => return Some(self.ended().await),
                    },
                    read = read.read_buf(&mut self.read) => match read {
                        Ok(0) | Err(_) => return Some(self.ended().await),
                        Ok(_) if self.goes_away() => return Some(self.ended().await),
                        Ok(_) => {}
                    },
                }
            }
            sent += piece.len();
            piece.clear();
        }
        None
    }

    /// Drops frames that have come, up to a GOAWAY.
    fn goes_away(&mut self) -> bool {
        while let Some(&[len_0, len_1, len_2, kind]) = self.read.first_chunk() {
            if kind == kind::GOAWAY {
                return true;
            }
            let len = u32::from_be_bytes([0, len_0, len_1, len_2]) as usize;
            if self.read.len() < HEADER_LEN + len {
                return false;
            }
            self.read.advance(HEADER_LEN + len);
        }
        false
    }

    fn take(&mut self) -> Option<RawFrame> {
        let &[len_0, len_1, len_2, kind, flags, s_0, s_1, s_2, s_3] = self.read.first_chunk()?;
        let len = u32::from_be_bytes([0, len_0, len_1, len_2]) as usize;
        if self.read.len() < HEADER_LEN + len {
            return None;
        }
        self.read.advance(HEADER_LEN);
        Some(RawFrame {
            kind,
            flags,
            stream: u32::from_be_bytes([s_0, s_1, s_2, s_3]) & 0x7fff_ffff,
            payload: self.read.split_to(len).freeze(),
        })
    }
}
