//! Clients that misbehave as the published servers do, and what our server makes of it.

use std::time::Duration;

use wireloom_peer::raw::{END_STREAM, RawFrame, head, kind, message};

use super::endpoint::{Endpoint, PADDING};
use super::{REQUEST, zeros};
use crate::attacks::{HANGS, UNARY};
use crate::leaks::Holdings;
use crate::server::Server;
use crate::until;

const CLIENT_STREAM: &str = "/probe.Probe/ClientStream";

/// What a client resets its calls with.
const CODES: [u32; 2] = [0, 8];

/// A server, and a client of it.
struct Case {
    server: Server,
    client: Endpoint,
    before: Holdings,
}

impl Case {
    async fn new(server: wireloom::Server) -> Self {
        let server = Server::start(server).await;
        // Once what stays for ever is there.
        let mut first = Endpoint::connect(server.address).await;
        assert_served(&mut first, 1).await;
        drop(first);
        let before = Holdings::settled().await;
        let client = Endpoint::connect(server.address).await;
        Self {
            server,
            client,
            before,
        }
    }

    /// The connection is still served, from the stream `next` on; once it has ended, nothing is left.
    async fn ends_with(mut self, next: u32) {
        assert_served(&mut self.client, next).await;
        drop(self.client);
        self.before.are_back().await;
        assert_eq!(self.server.calls(), 0);
    }
}

/// A call like any other is answered.
async fn assert_served(client: &mut Endpoint, stream: u32) {
    client.headers(stream, 0, &head(UNARY)).await;
    client.data(stream, &zeros(REQUEST), END_STREAM).await;
    assert_answered(client, stream).await;
}

/// A response that ends with an OK; what frames it has before does not matter.
async fn assert_answered(client: &mut Endpoint, stream: u32) {
    let ends = |frame: &RawFrame| frame.stream == stream && ends(frame);
    let trailers = client.until(ends).await;
    // Behind the name, as HPACK has it: as text, or by Huffman's code.
    let ok = [&b"\x010"[..], b"\x81\x07"];
    let is_ok = ok.iter().any(|ok| trailers.payload.ends_with(ok));
    assert!(is_ok, "{trailers:?}");
}

fn ends(frame: &RawFrame) -> bool {
    frame.kind == kind::RST_STREAM || frame.kind == kind::HEADERS && frame.flags & END_STREAM != 0
}

/// The handler of a call whose client resets it after `so_much` is dropped, and nothing is said to the client.
async fn assert_reset_drops_the_handler(path: &str, so_much: &[u8], flags: u8) {
    let mut case = Case::new(wireloom::Server::builder()).await;
    let mut stream = 1;
    for code in CODES {
        let ended = case.server.ended_calls();
        case.client.headers(stream, 0, &head(path)).await;
        case.client.data(stream, so_much, flags).await;
        until(|| case.server.calls() == 1).await;
        case.client.reset(stream, code).await;
        until(|| case.server.ended_calls() == ended + 1).await;
        let said = case.client.round_trip().await;
        let said = said.iter().filter(|frame| frame.stream == stream);
        assert!(said.clone().all(|frame| frame.kind == kind::WINDOW_UPDATE));
        stream += 2;
    }
    case.ends_with(stream).await;
}

/// A client that goes away is still answered.
#[tokio::test]
async fn goaway() {
    let mut case = Case::new(wireloom::Server::builder()).await;
    case.client.headers(1, 0, &head(CLIENT_STREAM)).await;
    until(|| case.server.calls() == 1).await;
    case.client.go_away(0).await;
    case.client.data(1, &message(b""), END_STREAM).await;
    assert_answered(&mut case.client, 1).await;
    drop(case.client);
    case.before.are_back().await;
}

#[tokio::test]
async fn rst_after_header() {
    assert_reset_drops_the_handler(CLIENT_STREAM, &[], 0).await;
}

#[tokio::test]
async fn rst_during_data() {
    let message = zeros(REQUEST);
    assert_reset_drops_the_handler(CLIENT_STREAM, &message[..message.len() / 2], 0).await;
}

#[tokio::test]
async fn rst_after_data() {
    assert_reset_drops_the_handler(UNARY, &message(HANGS), END_STREAM).await;
}

/// A message of 64 KiB may come in one frame. It is none of the published cases.
#[tokio::test]
async fn large_frame() {
    let mut case = Case::new(wireloom::Server::builder()).await;
    case.client.headers(1, 0, &head(UNARY)).await;
    case.client
        .large_data(1, &zeros(64 << 10), END_STREAM)
        .await;
    assert_answered(&mut case.client, 1).await;
    case.ends_with(3).await;
}

/// All pings are answered, wherever in a call they come; where they come more often than is allowed: `attacks/floods.rs`.
#[tokio::test]
async fn ping() {
    let server = wireloom::Server::builder().min_ping_interval(Duration::ZERO);
    let mut case = Case::new(server).await;
    case.client.ping().await;
    case.client.headers(1, 0, &head(UNARY)).await;
    case.client.ping().await;
    let message = zeros(REQUEST);
    let (some, rest) = message.split_at(REQUEST / 2);
    case.client.data(1, some, 0).await;
    case.client.ping().await;
    case.client.data(1, rest, END_STREAM).await;
    drop(message);
    case.client.ping().await;
    assert_answered(&mut case.client, 1).await;
    case.client.round_trip().await;
    case.ends_with(3).await;
}

/// A client that has more calls at a time than it is told is refused them; the one that it may have is served, and so are
/// those that follow.
#[tokio::test]
async fn max_streams() {
    let server = wireloom::Server::builder().max_concurrent_streams(1);
    let mut case = Case::new(server).await;
    case.client.headers(1, 0, &head(UNARY)).await;
    case.client.headers(3, 0, &head(UNARY)).await;
    let refused = case.client.until(|frame| frame.stream == 3).await;
    let code = u32::from(h2::Reason::REFUSED_STREAM);
    assert_eq!((refused.kind, refused.code()), (kind::RST_STREAM, code));
    case.client.data(1, &zeros(REQUEST), END_STREAM).await;
    assert_answered(&mut case.client, 1).await;
    case.ends_with(5).await;
}

/// A request in frames of a few bytes each.
async fn assert_small_frames_are_read(padding: Option<u8>) {
    let mut case = Case::new(wireloom::Server::builder()).await;
    let message = zeros(REQUEST);
    case.client.headers(1, 0, &head(UNARY)).await;
    case.client
        .small_data(1, &message, END_STREAM, padding)
        .await;
    drop(message);
    assert_answered(&mut case.client, 1).await;
    case.ends_with(3).await;
}

/// Padding takes room in the windows: a server that gives back no more than the data would be sent nothing any more.
#[tokio::test]
async fn data_frame_padding() {
    assert_small_frames_are_read(Some(PADDING)).await;
}

#[tokio::test]
async fn no_df_padding_sanity_test() {
    assert_small_frames_are_read(None).await;
}
