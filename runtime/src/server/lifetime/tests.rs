//! Connections whose clock is paused, and a client that is made by hand, so that it does no more than it is told.

use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use http::{HeaderMap, Request as HttpRequest};
use tokio::{
    io::DuplexStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tonic::{Request, Response};

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
