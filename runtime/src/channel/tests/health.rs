//! The health that servers tell of themselves.

use wireloom_peer::Step;

use super::*;

/// A frame of `HealthCheckResponse`.
fn says(act: Act, status: u8) -> Act {
    act.step(Step::Data(vec![0, 0, 0, 0, 2, 8, status]))
}

const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;

fn healthy() -> Arc<Peer> {
    Peer::new([says(Act::read().headers(), SERVING)])
}

fn checked(builder: ChannelBuilder) -> ChannelBuilder {
    round_robin(builder).health_check("greeter")
}

/// How many calls a peer has got, the watch apart.
fn calls(peer: &Peer) -> usize {
    let seen = peer.seen();
    let calls = seen.iter().filter(|seen| seen.path == "/test.Test/Unary");
    calls.count()
}

#[tokio::test(start_paused = true)]
async fn calls_go_where_the_service_is_served() {
    let well = healthy();
    let unwell = Peer::new([says(Act::read().headers(), NOT_SERVING)]);
    let channel = Registry::of(&[&well, &unwell]).channel(checked);
    for _ in 0..4 {
        call(&channel).await.unwrap();
    }
    assert_eq!([calls(&well), calls(&unwell)], [4, 0]);
    let watch = &unwell.seen()[0];
    assert_eq!(watch.path, "/grpc.health.v1.Health/Watch");
    assert_eq!(watch.messages(), [&b"\x0a\x07greeter"[..]]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_becomes_well_gets_calls_and_one_that_does_no_longer_serve_none() {
    let other = healthy();
    let changing = says(Act::read().headers(), NOT_SERVING).wait(1000);
    let changing = says(says(changing, SERVING).wait(1000), NOT_SERVING);
    let changing = Peer::new([changing]);
    let channel = Registry::of(&[&other, &changing]).channel(checked);
    let mut counts = Vec::new();
    call(&channel).await.unwrap();
    // Half-way between the changes.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..3 {
        let before = calls(&changing);
        for _ in 0..4 {
            call(&channel).await.unwrap();
        }
        counts.push(calls(&changing) - before);
        tokio::time::sleep(Duration::from_millis(1000)).await;
    }
    assert_eq!(counts, [0, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn where_no_address_serves_calls_fail_and_say_so() {
    let unwell = Peer::new([says(Act::read().headers(), NOT_SERVING)]);
    let channel = Registry::of(&[&unwell]).channel(checked);
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let message = "the server says that it does not serve \"greeter\"";
    assert_eq!(status.message(), message);
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_health_service_is_taken_for_well() {
    let peer = Peer::new([Act::fail(Code::Unimplemented)]);
    let channel = Registry::of(&[&peer]).channel(checked);
    call(&channel).await.unwrap();
    assert_eq!(calls(&peer), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_is_made_again_after_a_backoff() {
    let peer = Peer::new([
        Act::fail(Code::Internal),
        says(Act::read().headers(), SERVING),
    ]);
    let channel = Registry::of(&[&peer]).channel(checked);
    let start = Instant::now();
    call(&channel).await.unwrap_err();
    let waits = channel.unary(&UNARY, String::new()).wait_for_ready(true);
    waits.await.unwrap();
    let waited = start.elapsed().as_secs_f64();
    assert!((0.8..=1.21).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn the_service_config_names_the_service_and_pick_first_checks_nothing() {
    let config = |policy| {
        let json = format!(
            r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}], "healthCheckConfig": {{"serviceName": "x"}}}}"#
        );
        crate::ServiceConfig::from_json(&json).unwrap()
    };
    let peer = Peer::new([says(Act::read().headers(), NOT_SERVING)]);
    let channel =
        Registry::of(&[&peer]).channel(|builder| builder.service_config(config("round_robin")));
    call(&channel).await.unwrap_err();
    assert_eq!(peer.seen()[0].messages(), [&b"\x0a\x01x"[..]]);
    channel.set_service_config(config("pick_first"));
    call(&channel).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_channel_whose_health_is_watched_goes_idle_all_the_same() {
    let peer = healthy();
    let channel = Registry::of(&[&peer])
        .channel(|builder| checked(builder).idle_timeout(Duration::from_secs(100)));
    call(&channel).await.unwrap();
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
}
