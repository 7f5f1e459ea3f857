//! Connections whose clock is paused, and a client that is made by hand, so that it does no more than it is told.

use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use http::{HeaderMap, Request as HttpRequest};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tonic::{Request, Response};
use wireloom_peer::raw::{PREFACE, call, kind, settings};

use crate::{
    frame,
    memory::InProcess,
    method::Method,
    server::{Server, tests::Serve},
};

static WAIT: Method<String, String> = Method::unary("/test.Test/Wait");

const SECOND: Duration = Duration::from_secs(1);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// A connection to a server whose handler waits for as many seconds as the request says.
struct Connected {
    sender: SendRequest<Bytes>,
    /// Ends with the connection.
    driver: JoinHandle<Result<(), h2::Error>>,
    _server: InProcess,
}

fn start(server: Server) -> (InProcess, DuplexStream) {
    let server = server.add_service(Serve(|call: crate::server::Call| {
        call.unary(&WAIT, |request: Request<String>| async move {
            sleep(SECOND * request.get_ref().parse().unwrap()).await;
            Ok(Response::new("waited".to_owned()))
        })
    }));
    let server = server.into_process().unwrap();
    let io = server.connect().unwrap();
    (server, io)
}

impl Connected {
    async fn to(server: Server) -> Self {
        let (_server, io) = start(server);
        let (sender, connection) = h2::client::handshake(io).await.unwrap();
        let driver = tokio::spawn(connection);
        Self {
            sender,
            driver,
            _server,
        }
    }

    /// Begins a call whose handler waits for so long.
    fn call(&mut self, seconds: u64) -> JoinHandle<String> {
        let message = frame::encode(&seconds.to_string()).unwrap();
        self.begin("/test.Test/Wait", message)
    }

    /// Begins a call, which gives its status.
    fn begin(&mut self, path: &str, message: Bytes) -> JoinHandle<String> {
        let head = HttpRequest::post(format!("http://peer{path}"))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (response, mut stream) = self.sender.send_request(head, false).unwrap();
        stream.send_data(message, true).unwrap();
        tokio::spawn(async move {
            let (head, body) = response.await.unwrap().into_parts();
            let status = |headers: &HeaderMap| {
                let status = headers.get("grpc-status")?.to_str();
                Some(status.unwrap().to_owned())
            };
            match status(&head.headers) {
                Some(status) => status,
                None => status(&trailers(body).await).unwrap(),
            }
        })
    }

    /// How long the connection lasts from now.
    async fn lasts(self) -> Duration {
        let begun = Instant::now();
        let _sender = self.sender;
        let ended = timeout(FOR_EVER, self.driver).await;
        ended.expect("the connection ends").unwrap().unwrap();
        begun.elapsed()
    }

    async fn is_open_after(&mut self, time: Duration) -> bool {
        timeout(time, &mut self.driver).await.is_err()
    }
}

async fn trailers(mut body: RecvStream) -> HeaderMap {
    while let Some(data) = body.data().await {
        data.unwrap();
    }
    body.trailers().await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_lasts_for_its_age_a_tenth_less_or_more() {
    let mut ages = Vec::new();
    for _ in 0..20 {
        let server = Server::builder().max_connection_age(SECOND * 1000);
        ages.push(Connected::to(server).await.lasts().await);
    }
    let (least, most) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
    assert!(*least >= SECOND * 900 && *most <= SECOND * 1101, "{ages:?}");
    assert!(*most - *least > SECOND * 10, "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_on_a_connection_that_is_too_old_goes_on_and_another_is_not_begun() {
    let server = Server::builder().max_connection_age(SECOND * 100);
    let mut connected = Connected::to(server).await;
    let call = connected.call(500);
    sleep(SECOND * 200).await;
    assert!(connected.sender.clone().ready().await.is_err(), "no GOAWAY");
    assert_eq!(call.await.unwrap(), "0");
    assert!(connected.lasts().await < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlasts_the_grace_is_cut_off_with_unavailable() {
    let server = Server::builder()
        .max_connection_age(SECOND * 100)
        .max_connection_age_grace(SECOND * 50);
    let mut connected = Connected::to(server).await;
    let begun = Instant::now();
    assert_eq!(connected.call(1000).await.unwrap(), "14");
    let after = begun.elapsed();
    assert!((SECOND * 140..SECOND * 161).contains(&after), "{after:?}");
    assert!(connected.lasts().await < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_health_does_not_keep_an_old_connection() {
    let server = Server::builder().max_connection_age(SECOND * 100);
    let mut connected = Connected::to(server).await;
    let watch = connected.begin("/grpc.health.v1.Health/Watch", Bytes::from_static(&[0; 5]));
    assert!(connected.lasts().await < SECOND * 111);
    assert_eq!(watch.await.unwrap(), "14");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_call_ends_after_the_idle_time() {
    let server = Server::builder().max_connection_idle(SECOND * 60);
    let lasted = Connected::to(server).await.lasts().await;
    assert!((SECOND * 60..SECOND * 61).contains(&lasted), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn idle_time_counts_from_the_end_of_the_last_call() {
    let server = Server::builder().max_connection_idle(SECOND * 60);
    let mut connected = Connected::to(server).await;
    // A call that is longer than the idle time, and one that begins before it is over.
    assert_eq!(connected.call(100).await.unwrap(), "0");
    assert!(connected.is_open_after(SECOND * 50).await);
    assert_eq!(connected.call(20).await.unwrap(), "0");
    let lasted = connected.lasts().await;
    assert!((SECOND * 60..SECOND * 61).contains(&lasted), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_hear_its_farewell_is_left() {
    let server = Server::builder()
        .max_connection_idle(SECOND * 60)
        .keepalive(Duration::MAX);
    let (_server, io) = start(server);
    let (_sender, mut connection) = h2::client::handshake::<_>(io).await.unwrap();
    assert!(timeout(SECOND, &mut connection).await.is_err());
    // Nothing is read any more, and nothing answered, until the server is gone.
    sleep(SECOND * 80).await;
    let ended = timeout(SECOND, connection).await;
    let _ = ended.expect("the server closed the connection");
}

/// A client that answers nothing that it is told or asked.
struct Deaf {
    io: DuplexStream,
    _server: InProcess,
}

impl Deaf {
    async fn to(server: Server) -> Self {
        let (_server, io) = start(server);
        let mut deaf = Self { io, _server };
        deaf.say(PREFACE).await;
        deaf.say(&settings(&[])).await;
        deaf
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Begins a call whose handler waits for so long.
    async fn call(&mut self, stream: u32, seconds: u64) {
        let message = frame::encode(&seconds.to_string()).unwrap();
        self.say(&call(stream, "/test.Test/Wait", &message[5..]))
            .await;
    }

    /// The stream and the payload of the next frame of this kind, unless the connection ends before.
    async fn next(&mut self, kind: u8) -> Option<(u32, Vec<u8>)> {
        loop {
            let mut head = [0; 9];
            self.io.read_exact(&mut head).await.ok()?;
            let [len_0, len_1, len_2, found, _, stream @ ..] = head;
            let len = u32::from_be_bytes([0, len_0, len_1, len_2]);
            let mut payload = vec![0; len as usize];
            self.io.read_exact(&mut payload).await.unwrap();
            if found == kind {
                return Some((u32::from_be_bytes(stream), payload));
            }
        }
    }

    /// The last stream, of those that the server heard of, and the code with which it tells its peer to go away.
    async fn is_told_to_go(&mut self) -> (u32, u32) {
        let (_, payload) = self.next(kind::GOAWAY).await.expect("it is told");
        let word = |at: usize| u32::from_be_bytes(payload[at..][..4].try_into().unwrap());
        (word(0), word(4))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_say_that_it_heard_is_told_which_calls_were_heard_of_and_left() {
    let mut deaf = Deaf::to(Server::builder().max_connection_age(SECOND * 100)).await;
    deaf.call(1, 1).await;
    assert_eq!(deaf.is_told_to_go().await, (u32::MAX >> 1, 0));
    let begun = Instant::now();
    assert_eq!(deaf.is_told_to_go().await, (1, 0));
    assert_eq!(deaf.next(kind::GOAWAY).await, None);
    let after = begun.elapsed();
    assert!((SECOND * 5..SECOND * 6).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_hear_that_it_is_to_go_away_begins_no_call_later() {
    let mut deaf = Deaf::to(Server::builder().max_connection_age(SECOND * 100)).await;
    deaf.call(1, 500).await;
    deaf.is_told_to_go().await;
    // As one does that was on its way.
    deaf.call(3, 1).await;
    assert_eq!(deaf.next(kind::HEADERS).await.unwrap().0, 3);
    sleep(SECOND * 5).await;
    deaf.call(5, 1).await;
    let refused = u32::from(h2::Reason::REFUSED_STREAM).to_be_bytes().to_vec();
    assert_eq!(deaf.next(kind::RST_STREAM).await, Some((5, refused)));
    // The call from before goes on.
    assert_eq!(deaf.next(kind::HEADERS).await.unwrap().0, 1);
    let begun = Instant::now();
    assert_eq!(deaf.next(kind::RST_STREAM).await, None);
    assert!(begun.elapsed() < SECOND * 6, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_is_kept() {
    let server = Server::builder().keepalive(SECOND * 30);
    let mut connected = Connected::to(server).await;
    assert!(connected.is_open_after(SECOND * 10_000).await);
    assert_eq!(connected.call(1).await.unwrap(), "0");
}

/// How long a call lasts on a connection to `server` whose client reads nothing from some time on.
async fn outlasts_its_peer(server: Server, silent_after: Duration) -> Duration {
    let (dropped_in, dropped) = tokio::sync::oneshot::channel::<()>();
    let dropped_in = std::sync::Mutex::new(Some(dropped_in));
    let server = server.add_service(Serve(move |call: crate::server::Call| {
        let dropped_in = dropped_in.lock().unwrap().take();
        call.unary(&WAIT, |_: Request<String>| async move {
            let _dropped_in = dropped_in;
            std::future::pending().await
        })
    }));
    let server = server.into_process().unwrap();
    let io = server.connect().unwrap();
    let (mut sender, mut connection) = h2::client::handshake(io).await.unwrap();
    let head =
        HttpRequest::post("http://peer/test.Test/Wait").header("content-type", "application/grpc");
    let (_response, mut body) = sender.send_request(head.body(()).unwrap(), false).unwrap();
    body.send_data(frame::encode(&String::new()).unwrap(), true)
        .unwrap();
    let begun = Instant::now();
    assert!(timeout(silent_after, &mut connection).await.is_err());
    let ended = timeout(FOR_EVER, dropped).await;
    ended.expect("the handler is dropped").unwrap_err();
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_ping_is_left_and_its_calls_end() {
    let server = Server::builder()
        .keepalive(SECOND * 30)
        .keepalive_timeout(SECOND * 10);
    let after = outlasts_its_peer(server, SECOND).await;
    assert!((SECOND * 40..SECOND * 42).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_while_its_connection_drains_is_left_too() {
    let server = Server::builder()
        .keepalive(SECOND * 30)
        .keepalive_timeout(SECOND * 10)
        .max_connection_age(SECOND * 100);
    let after = outlasts_its_peer(server, SECOND * 200).await;
    assert!((SECOND * 210..SECOND * 250).contains(&after), "{after:?}");
}
