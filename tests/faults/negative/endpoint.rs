//! One end of a connection, by hand: it keeps to the rules of windows, settings and pings, so that a case may break one.

use std::collections::HashMap;

use tokio::net::TcpListener;
use wireloom_peer::raw::{
    ACK, END_HEADERS, END_STREAM, PADDED, PREFACE, Raw, RawFrame, frame, kind, settings,
};

use crate::PATIENCE;

/// What each side may send before the other has said anything (RFC 9113 section 6.9.2).
const FIRST_WINDOW: i64 = 65_535;

/// Settings (RFC 9113 section 6.5.2).
const HEADER_TABLE_SIZE: u16 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// What a frame of DATA holds where nobody has agreed on more.
const FRAME: usize = 16 << 10;

/// The data of a small frame, and the padding of one that is nearly all padding.
const SMALL: usize = 5;
pub const PADDING: u8 = 255;

pub struct Endpoint {
    raw: Raw,
    /// What may still be sent on the connection, and on each stream; what a new stream begins with.
    connection: i64,
    streams: HashMap<u32, i64>,
    first: i64,
    /// The pings that the other side has not answered.
    pub unanswered: usize,
}

impl Endpoint {
    /// The server's end of the next connection, with these settings.
    pub async fn accept(listener: &TcpListener, parameters: &[(u16, u32)]) -> Self {
        let raw = tokio::time::timeout(PATIENCE, Raw::accept(listener)).await;
        let mut endpoint = Self::new(raw.expect("nobody connects").unwrap());
        endpoint.send(&settings(parameters)).await;
        endpoint
    }

    /// The client's end of a new connection to `server`.
    pub async fn connect(server: std::net::SocketAddr) -> Self {
        let mut endpoint = Self::new(Raw::connect(server).await.unwrap());
        endpoint.send(PREFACE).await;
        // Headers are sent as they are, rather than by reference to earlier ones.
        endpoint.send(&settings(&[(HEADER_TABLE_SIZE, 0)])).await;
        endpoint
    }

    fn new(raw: Raw) -> Self {
        Self {
            raw,
            connection: FIRST_WINDOW,
            streams: HashMap::new(),
            first: FIRST_WINDOW,
            unanswered: 0,
        }
    }

    /// Writes bytes, whatever they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.raw.send(bytes).await.unwrap();
    }

    pub async fn headers(&mut self, stream: u32, flags: u8, block: &[u8]) {
        self.send(&frame(kind::HEADERS, END_HEADERS | flags, stream, block))
            .await;
    }

    pub async fn reset(&mut self, stream: u32, code: u32) {
        self.send(&frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes()))
            .await;
    }

    pub async fn ping(&mut self) {
        self.unanswered += 1;
        self.send(&frame(kind::PING, 0, 0, b"are you?")).await;
    }

    /// Says GOAWAY without an error; streams up to `last` go on.
    pub async fn go_away(&mut self, last: u32) {
        let payload = [last.to_be_bytes(), [0; 4]].concat();
        self.send(&frame(kind::GOAWAY, 0, 0, &payload)).await;
    }

    /// Sends `bytes` as DATA, as there is room for them; `end` says whether they end the stream.
    pub async fn data(&mut self, stream: u32, bytes: &[u8], flags: u8) {
        let last = bytes.len().div_ceil(FRAME).saturating_sub(1);
        for (index, piece) in bytes.chunks(FRAME).enumerate() {
            let flags = if index == last { flags } else { 0 };
            self.room(stream, piece.len()).await;
            self.send(&frame(kind::DATA, flags, stream, piece)).await;
        }
    }

    /// The same in one frame, where the other side has said that it takes such (`SETTINGS_MAX_FRAME_SIZE`).
    pub async fn large_data(&mut self, stream: u32, bytes: &[u8], flags: u8) {
        self.room(stream, bytes.len()).await;
        self.send(&frame(kind::DATA, flags, stream, bytes)).await;
    }

    /// The same in frames of a few bytes each, and so much padding, which takes as much room as what it pads.
    pub async fn small_data(&mut self, stream: u32, bytes: &[u8], flags: u8, padding: Option<u8>) {
        let last = bytes.len().div_ceil(SMALL) - 1;
        let mut frames = Vec::new();
        for (index, piece) in bytes.chunks(SMALL).enumerate() {
            let mut flags = if index == last { flags } else { 0 };
            let mut payload = Vec::new();
            if let Some(padding) = padding {
                flags |= PADDED;
                payload.push(padding);
            }
            payload.extend_from_slice(piece);
            payload.resize(payload.len() + usize::from(padding.unwrap_or(0)), 0);
            // Those that there is room for leave together: a write for each would take long.
            if frames.len() > FRAME || !self.has_room(stream, payload.len()) {
                self.send(&frames).await;
                frames.clear();
            }
            self.room(stream, payload.len()).await;
            frames.extend(frame(kind::DATA, flags, stream, &payload));
        }
        self.send(&frames).await;
    }

    /// Waits until there is room for so many bytes of DATA, and takes it.
    async fn room(&mut self, stream: u32, len: usize) {
        while !self.has_room(stream, len) {
            let frame = self.next().await;
            let frame = frame.expect("the connection ends before there is room");
            assert_ne!(frame.kind, kind::RST_STREAM, "{frame:?}");
        }
        self.connection -= len as i64;
        *self.stream(stream) -= len as i64;
    }

    fn has_room(&mut self, stream: u32, len: usize) -> bool {
        let len = len as i64;
        self.connection >= len && *self.stream(stream) >= len
    }

    fn stream(&mut self, stream: u32) -> &mut i64 {
        self.streams.entry(stream).or_insert(self.first)
    }

    /// The next frame, once what is due for it is done; `None` at the end.
    pub async fn next(&mut self) -> Option<RawFrame> {
        let next = tokio::time::timeout(PATIENCE, self.raw.frame()).await;
        let frame = next.expect("nothing is said").ok()??;
        let acknowledges = frame.flags & ACK != 0;
        match frame.kind {
            kind::SETTINGS if !acknowledges => {
                self.settle(&frame);
                self.send(&self::frame(kind::SETTINGS, ACK, 0, &[])).await;
            }
            kind::WINDOW_UPDATE => {
                let more = i64::from(frame.code());
                match frame.stream {
                    0 => self.connection += more,
                    stream => *self.stream(stream) += more,
                }
            }
            kind::PING if acknowledges => self.unanswered -= 1,
            kind::PING => {
                let answer = self::frame(kind::PING, ACK, 0, &frame.payload);
                self.send(&answer).await;
            }
            kind::DATA if !frame.payload.is_empty() => self.give_back(&frame).await,
            _ => {}
        }
        Some(frame)
    }

    /// What has been read may be sent again.
    async fn give_back(&mut self, data: &RawFrame) {
        let len = (data.payload.len() as u32).to_be_bytes();
        let mut updates = frame(kind::WINDOW_UPDATE, 0, 0, &len);
        if data.flags & END_STREAM == 0 {
            updates.extend(frame(kind::WINDOW_UPDATE, 0, data.stream, &len));
        }
        // The other side may have ended the connection by then.
        let _ = self.raw.send(&updates).await;
    }

    /// Of all settings, the window of new streams matters here.
    fn settle(&mut self, settings: &RawFrame) {
        for setting in settings.payload.chunks_exact(6) {
            let &[id_0, id_1, a, b, c, d] = setting else {
                continue;
            };
            if u16::from_be_bytes([id_0, id_1]) == INITIAL_WINDOW_SIZE {
                let value = i64::from(u32::from_be_bytes([a, b, c, d]));
                let more = value - self.first;
                self.first = value;
                self.streams.values_mut().for_each(|left| *left += more);
            }
        }
    }

    /// Reads until a frame is what `is_it` looks for.
    pub async fn until(&mut self, is_it: impl Fn(&RawFrame) -> bool) -> RawFrame {
        loop {
            let frame = self.next().await;
            let frame = frame.expect("the connection ends before it");
            if is_it(&frame) {
                return frame;
            }
        }
    }

    /// Reads until the other side has ended a stream; gives its id.
    pub async fn ended_stream(&mut self) -> u32 {
        let ends = |frame: &RawFrame| {
            matches!(frame.kind, kind::HEADERS | kind::DATA) && frame.flags & END_STREAM != 0
        };
        self.until(ends).await.stream
    }

    /// Pings the other side, and reads until it has answered all pings; gives what else came.
    pub async fn round_trip(&mut self) -> Vec<RawFrame> {
        self.ping().await;
        let mut frames = Vec::new();
        while self.unanswered > 0 {
            let frame = self.next().await;
            frames.push(frame.expect("the connection ends before the ping's answer"));
        }
        frames
    }
}
