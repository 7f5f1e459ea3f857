//! Names whose addresses change.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::channel::{
    resolver::{Dns, Lookup},
    state::StateWatch,
};

/// Answers as it is set to; counts the questions.
#[derive(Clone, Default)]
struct Answers(Arc<Answering>);

#[derive(Default)]
struct Answering {
    addresses: Mutex<Option<Vec<SocketAddr>>>,
    questions: AtomicUsize,
    hangs: bool,
}

impl Answers {
    fn of(ports: &[u16]) -> Self {
        let answers = Self::default();
        answers.set(ports);
        answers
    }

    fn set(&self, ports: &[u16]) {
        let address = |port: &u16| SocketAddr::from(([127, 0, 0, 1], *port));
        *self.0.addresses.lock().unwrap() = Some(ports.iter().map(address).collect());
    }

    fn fail(&self) {
        *self.0.addresses.lock().unwrap() = None;
    }

    fn questions(&self) -> usize {
        self.0.questions.load(Ordering::SeqCst)
    }

    fn channel(&self) -> Channel {
        let dns = Dns {
            hosts: vec!["greeter.test:1".to_owned()],
            timeout: Duration::from_secs(3),
            refresh_interval: Duration::from_secs(60),
            lookup: self.clone(),
        };
        let builder = Channel::builder("dns:///greeter.test:1").resolver(dns);
        builder.lazy().unwrap()
    }
}

impl Lookup for Answers {
    async fn lookup(&self, _: &str) -> io::Result<impl Iterator<Item = SocketAddr>> {
        self.0.questions.fetch_add(1, Ordering::SeqCst);
        if self.0.hangs {
            std::future::pending::<()>().await;
        }
        let addresses = self.0.addresses.lock().unwrap().clone();
        let addresses = addresses.ok_or(io::ErrorKind::NotFound)?;
        Ok(addresses.into_iter())
    }
}

/// A port of this machine where nobody listens.
async fn closed_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

async fn until(state: ConnectivityState, watch: &mut StateWatch) {
    assert_eq!(watch.until(state).await, state);
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_for_again_on_an_interval() {
    let peer = Peer::new([]);
    let answers = Answers::of(&[peer.listen().await.unwrap().port()]);
    let channel = answers.channel();
    call(&channel).await.unwrap();
    assert_eq!(answers.questions(), 1);
    tokio::time::sleep(Duration::from_secs(125)).await;
    assert_eq!(answers.questions(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_asks_again_but_not_at_once() {
    let answers = Answers::of(&[closed_port().await]);
    let channel = answers.channel();
    let mut watch = channel.watch_state();
    let start = Instant::now();
    call(&channel).await.unwrap_err();
    assert_eq!(answers.questions(), 1);
    let peer = Peer::new([]);
    answers.set(&[peer.listen().await.unwrap().port()]);
    until(ConnectivityState::Ready, &mut watch).await;
    assert_eq!(answers.questions(), 2);
    assert_eq!(start.elapsed().as_secs(), 5);
    call(&channel).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_known_is_asked_for_again_and_the_error_says_which() {
    let answers = Answers::of(&[]);
    answers.fail();
    let channel = answers.channel();
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let message = "could not resolve greeter.test:1: entity not found";
    assert_eq!(status.message(), message);
    let peer = Peer::new([]);
    answers.set(&[peer.listen().await.unwrap().port()]);
    let waits = channel.unary(&UNARY, String::new()).wait_for_ready(true);
    waits.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_lost_leaves_its_connections() {
    let peer = Peer::new([]);
    let answers = Answers::of(&[peer.listen().await.unwrap().port()]);
    let channel = answers.channel();
    call(&channel).await.unwrap();
    answers.fail();
    tokio::time::sleep(Duration::from_secs(63)).await;
    assert_eq!(answers.questions(), 2);
    call(&channel).await.unwrap();
    assert_eq!(peer.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_fails_calls_in_time() {
    let answers = Answers(Arc::new(Answering {
        hangs: true,
        ..Answering::default()
    }));
    let channel = answers.channel();
    let start = Instant::now();
    let status = call(&channel).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert!(
        status
            .message()
            .ends_with("greeter.test:1: no answer within 3s"),
        "{status}"
    );
}
