use super::*;
use crate::{
    ServiceConfig,
    policy::{FailurePercentageEjection, OutlierDetection},
};

/// A peer that fails its first calls.
fn failing(calls: usize) -> Arc<Peer> {
    Peer::new(vec![Act::fail(Code::Internal); calls])
}

/// Every 10 seconds, ejects for 30 what has failed more than half of at least 5 attempts.
fn detection() -> OutlierDetection {
    OutlierDetection {
        max_ejection_percent: 100,
        failure_percentage_ejection: Some(FailurePercentageEjection {
            threshold: 50,
            minimum_hosts: 1,
            request_volume: 5,
            ..FailurePercentageEjection::default()
        }),
        ..OutlierDetection::default()
    }
}

fn detecting(builder: ChannelBuilder) -> ChannelBuilder {
    round_robin(builder).outlier_detection(detection())
}

/// Makes calls; gives how many have failed.
async fn failures(channel: &Channel, calls: usize) -> usize {
    let mut failed = 0;
    for _ in 0..calls {
        failed += usize::from(call(channel).await.is_err());
    }
    failed
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_whose_calls_fail_is_left_out_and_comes_back_with_the_same_connection() {
    let bad = failing(6);
    let good = Peer::new([]);
    let channel = Registry::of(&[&bad, &good]).channel(detecting);
    assert!(failures(&channel, 13).await >= 5);
    seconds(11).await;
    let before = counts(&[bad.clone(), good.clone()]);
    assert_eq!(failures(&channel, 10).await, 0);
    assert_eq!(
        counts(&[bad.clone(), good.clone()]),
        [before[0], before[1] + 10]
    );
    // Ejected at 10 seconds, and back with the first look that is later than 40.
    seconds(38).await;
    failures(&channel, 4).await;
    assert_eq!(bad.seen().len(), before[0]);
    seconds(2).await;
    failures(&channel, 4).await;
    assert_eq!(bad.seen().len(), before[0] + 2);
    assert_eq!(bad.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn addresses_beyond_the_greatest_percentage_stay() {
    let peers: [_; 3] = std::array::from_fn(|_| failing(99));
    let channel = Registry::of(&peers.each_ref()).channel(|builder| {
        round_robin(builder).outlier_detection(OutlierDetection {
            max_ejection_percent: 50,
            ..detection()
        })
    });
    failures(&channel, 30).await;
    seconds(11).await;
    let before = counts(&peers);
    failures(&channel, 8).await;
    let after = counts(&peers);
    let got: Vec<_> = (0..3).map(|i| after[i] - before[i]).collect();
    // A third is below a half, two thirds are not.
    assert_eq!(
        got.iter().filter(|count| **count == 0).count(),
        2,
        "{got:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn with_all_addresses_ejected_calls_fail_and_waiting_ones_wait() {
    let bad = failing(6);
    let channel = Registry::of(&[&bad]).channel(detecting);
    assert_eq!(failures(&channel, 6).await, 6);
    seconds(11).await;
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    let failed = call(&channel).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable);
    assert_eq!(
        failed.message(),
        "the address is left out for a while: its calls failed more than others'"
    );
    let waiting = channel.unary(&UNARY, String::new()).wait_for_ready(true);
    let begun = Instant::now();
    waiting.await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn pick_first_has_no_outliers() {
    let bad = failing(20);
    let other = Peer::new([]);
    let channel =
        Registry::of(&[&bad, &other]).channel(|builder| builder.outlier_detection(detection()));
    assert_eq!(failures(&channel, 10).await, 10);
    seconds(20).await;
    assert_eq!(failures(&channel, 10).await, 10);
}

#[tokio::test(start_paused = true)]
async fn what_the_client_cancels_counts_neither_way() {
    let slow = Peer::new(vec![Act::stall(); 99]);
    let channel = Registry::of(&[&slow]).channel(detecting);
    for _ in 0..10 {
        let call = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
        settle().await;
        call.abort();
    }
    seconds(20).await;
    assert_eq!(channel.state(), ConnectivityState::Ready);
    // A deadline is not the client's whim.
    for _ in 0..5 {
        let call = channel.unary(&UNARY, String::new());
        let failed = call.timeout(Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(failed.code(), Code::DeadlineExceeded);
    }
    seconds(11).await;
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn a_service_config_asks_for_it_and_another_takes_all_back() {
    let bad = failing(6);
    let channel = Registry::of(&[&bad]).channel(|builder| builder);
    let config = |ejection: &str| {
        let json = format!(
            r#"{{"loadBalancingConfig": [{{"outlier_detection_experimental": {{
                "maxEjectionPercent": 100, {ejection} "childPolicy": [{{"round_robin": {{}}}}]
            }}}}]}}"#
        );
        ServiceConfig::from_json(&json).unwrap()
    };
    channel.set_service_config(config(
        r#""failurePercentageEjection": {"minimumHosts": 1, "requestVolume": 5},"#,
    ));
    assert_eq!(failures(&channel, 6).await, 6);
    seconds(11).await;
    assert_eq!(failures(&channel, 1).await, 1);
    channel.set_service_config(config(""));
    assert_eq!(failures(&channel, 3).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_interval_goes_on_from_the_last_look() {
    let bad = failing(6);
    let channel = Registry::of(&[&bad]).channel(detecting);
    assert_eq!(failures(&channel, 6).await, 6);
    seconds(7).await;
    channel.set_service_config(
        ServiceConfig::from_json(
            r#"{"loadBalancingConfig": [{"outlier_detection_experimental": {
                "interval": "8s",
                "maxEjectionPercent": 100,
                "failurePercentageEjection": {"minimumHosts": 1, "requestVolume": 5},
                "childPolicy": [{"round_robin": {}}]
            }}]}"#,
        )
        .unwrap(),
    );
    settle().await;
    assert_eq!(channel.state(), ConnectivityState::Ready);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
}

#[tokio::test(start_paused = true)]
async fn nobody_compares_in_a_channel_that_is_idle_or_gone() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let [peer] = peers();
    let channel = Registry::of(&[&peer])
        .channel(|builder| detecting(builder).idle_timeout(Duration::from_secs(60)));
    let before = tasks();
    call(&channel).await.unwrap();
    assert!(tasks() > before);
    seconds(200).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    call(&channel).await.unwrap();
    drop(channel);
    seconds(20).await;
    assert_eq!(tasks(), before);
}

#[test]
fn an_invalid_detection_is_refused() {
    let detection = OutlierDetection {
        max_ejection_percent: 101,
        ..OutlierDetection::default()
    };
    let builder = Channel::builder("http://localhost:1").outlier_detection(detection);
    let refused = builder.lazy().unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.message(),
        "invalid outlier detection: percentages must be at most 100"
    );
}
