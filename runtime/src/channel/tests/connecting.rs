use super::*;

#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_answer_costs_a_quarter_of_a_second() {
    let silent = connecting([Connect::Stall]);
    let peer = Peer::new([]);
    let channel = Registry::of(&[&silent, &peer]).channel(|builder| builder);
    let start = Instant::now();
    call(&channel).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(250));
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_refuses_costs_nothing() {
    let refusing = connecting([Connect::Refuse; 9]);
    let peer = Peer::new([]);
    let channel = Registry::of(&[&refusing, &peer]).channel(|builder| builder);
    let start = Instant::now();
    call(&channel).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn where_no_address_answers_the_error_names_each() {
    let refusing = [(); 2].map(|()| connecting([Connect::Refuse; 9]));
    let channel = Registry::of(&refusing.each_ref()).channel(|builder| builder);
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let message = "could not connect to test:///peers: scripted: connection refused; scripted: connection refused";
    assert_eq!(status.message(), message);
}

#[tokio::test(start_paused = true)]
async fn making_a_connection_has_one_budget() {
    let silent = [(); 3].map(|()| connecting([Connect::Stall; 9]));
    let channel = Registry::of(&silent.each_ref())
        .channel(|builder| builder.connect_timeout(Duration::from_secs(3)));
    let start = Instant::now();
    let status = call(&channel).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert!(
        status.message().ends_with("no connection within 3s"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_to_connect_keep_to_the_backoff_however_many_calls_fail() {
    let peer = connecting([Connect::Refuse; 2]);
    let channel = Registry::of(&[&peer]).channel(|builder| builder);
    let start = Instant::now();
    for _ in 0..50 {
        call(&channel).await.unwrap_err();
    }
    channel
        .unary(&UNARY, String::new())
        .wait_for_ready(true)
        .await
        .unwrap();
    // 1 and 1.6 seconds, each with a fifth of jitter.
    let waited = start.elapsed().as_secs_f64();
    assert!((2.6 * 0.8..=2.6 * 1.2 + 0.01).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_at_once_costs_no_call() {
    let peer = connecting([Connect::Accept, Connect::Refuse, Connect::Refuse]);
    let channel = Registry::of(&[&peer]).channel(|builder| builder);
    call(&channel).await.unwrap();
    peer.close(1);
    settle().await;
    let start = Instant::now();
    call(&channel).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(peer.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_state_can_be_watched() {
    use ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};
    let peer = connecting([Connect::Refuse]);
    let channel = Registry::of(&[&peer]).channel(|builder| builder);
    assert_eq!(channel.state(), Idle);
    let mut watch = channel.watch_state();
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&states);
    let watching = tokio::spawn(async move {
        loop {
            let state = watch.changed().await;
            seen.lock().unwrap().push(state);
            if state == Shutdown {
                return;
            }
        }
    });
    call(&channel).await.unwrap_err();
    channel
        .unary(&UNARY, String::new())
        .wait_for_ready(true)
        .await
        .unwrap();
    settle().await;
    drop(channel);
    watching.await.unwrap();
    let states = states.lock().unwrap();
    assert_eq!(*states, [Connecting, TransientFailure, Ready, Shutdown]);
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_that_is_lost_is_made_again_when_asked_for() {
    let [peer] = peers();
    let channel = Registry::of(&[&peer]).channel(|builder| builder);
    let mut state = channel.watch_state();
    let request = PickRequest {
        path: "/test.Test/Unary",
        metadata: &http::HeaderMap::new(),
        wait_for_ready: false,
    };
    drop(channel.pick(request).await.unwrap());
    state.until(ConnectivityState::Ready).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Having been picked counts as use; the connection after it is unused.
    peer.close(1);
    settle().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    peer.close(2);
    settle().await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    assert_eq!(peer.connections(), 2);
    call(&channel).await.unwrap();
    assert_eq!(peer.connections(), 3);
}
