use super::*;

#[tokio::test(start_paused = true)]
async fn pick_first_sends_all_calls_to_the_first_address() {
    let peers = peers::<3>();
    let channel = Registry::of(&peers.each_ref()).channel(|builder| builder);
    for _ in 0..6 {
        call(&channel).await.unwrap();
    }
    assert_eq!(counts(&peers), [6, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn pick_first_shuffles_where_it_is_asked_to() {
    fastrand::seed(7);
    let peers = peers::<3>();
    let shuffle = |builder: ChannelBuilder| {
        builder.load_balancing(LoadBalancing::PickFirst {
            shuffle_address_list: true,
        })
    };
    for _ in 0..30 {
        let channel = Registry::of(&peers.each_ref()).channel(shuffle);
        call(&channel).await.unwrap();
        call(&channel).await.unwrap();
    }
    let counts = counts(&peers);
    assert!(
        counts
            .iter()
            .all(|count| (8..=36).contains(count) && count % 2 == 0),
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn round_robin_sends_each_call_to_the_next() {
    let peers = peers::<3>();
    let channel = Registry::of(&peers.each_ref()).channel(round_robin);
    call(&channel).await.unwrap();
    settle().await;
    let before = counts(&peers);
    for _ in 0..6 {
        call(&channel).await.unwrap();
    }
    assert_eq!(counts(&peers), before.map(|count| count + 2));
}

#[tokio::test(start_paused = true)]
async fn round_robin_goes_round_an_address_without_a_connection() {
    let refusing = connecting([Connect::Refuse; 99]);
    let peer = Peer::new([]);
    let channel = Registry::of(&[&refusing, &peer]).channel(round_robin);
    for _ in 0..4 {
        call(&channel).await.unwrap();
    }
    assert_eq!(counts(&[refusing, peer]), [0, 4]);
}

#[tokio::test(start_paused = true)]
async fn least_request_sends_most_calls_where_fewer_are_in_flight() {
    // The choices are random, and the same in each run.
    fastrand::seed(7);
    let busy = Peer::new(vec![Act::read().wait(100_000).answer(); 3]);
    let idle = Peer::new([]);
    let channel = Registry::of(&[&busy, &idle]).channel(|builder| {
        builder.load_balancing(LoadBalancing::LeastRequest {
            choice_count: 2,
            slow_start: None,
        })
    });
    let mut running = Vec::new();
    while busy.seen().len() < 3 {
        running.push(tokio::spawn(
            channel.unary(&UNARY, String::new()).into_future(),
        ));
        settle().await;
    }
    let before = idle.seen().len();
    for _ in 0..40 {
        call(&channel).await.unwrap();
    }
    // A call goes to the busy one where both choices are it: one in four.
    let to_idle = idle.seen().len() - before;
    assert!((25..40).contains(&to_idle), "{to_idle}");
}

#[tokio::test(start_paused = true)]
async fn a_service_config_chooses_the_policy_and_another_replaces_it() {
    let peers = peers::<2>();
    let channel = Registry::of(&peers.each_ref()).channel(|builder| builder);
    call(&channel).await.unwrap();
    assert_eq!(counts(&peers), [1, 0]);

    let config = |policy| {
        let json = format!(r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#);
        crate::ServiceConfig::from_json(&json).unwrap()
    };
    channel.set_service_config(config("round_robin"));
    call(&channel).await.unwrap();
    settle().await;
    let before = counts(&peers);
    for _ in 0..4 {
        call(&channel).await.unwrap();
    }
    assert_eq!(counts(&peers), before.map(|count| count + 2));

    channel.set_service_config(config("pick_first"));
    let before = counts(&peers);
    for _ in 0..4 {
        call(&channel).await.unwrap();
    }
    let more: usize = counts(&peers).iter().sum::<usize>() - before.iter().sum::<usize>();
    assert_eq!(more, 4);
    assert!(
        counts(&peers) == [before[0] + 4, before[1]],
        "{:?}",
        counts(&peers)
    );
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_added_gets_calls_and_one_that_is_removed_none() {
    let [a, b, c] = peers();
    let registry = Registry::of(&[&a, &b]);
    let channel = registry.channel(round_robin);
    for _ in 0..4 {
        call(&channel).await.unwrap();
    }
    registry.set(&[&b, &c]);
    settle().await;
    let before = counts(&[a.clone(), b.clone(), c.clone()]);
    for _ in 0..4 {
        call(&channel).await.unwrap();
    }
    let [from_a, from_b, from_c] = before;
    assert_eq!(counts(&[a, b, c]), [from_a, from_b + 2, from_c + 2]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_removed_finishes_its_calls() {
    for options in [round_robin, |builder| builder] {
        let slow = Peer::new([Act::read().wait(1000).answer()]);
        let other = Peer::new([]);
        let registry = Registry::of(&[&slow]);
        let channel = registry.channel(options);
        let running = tokio::spawn(channel.unary(&UNARY, String::new()).into_future());
        slow.until(|seen| seen.len() == 1).await;
        registry.set(&[&other]);
        settle().await;
        call(&channel).await.unwrap();
        assert_eq!(other.seen().len(), 1);
        assert!(!running.is_finished());
        running.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_address_left_what_was_found_before_stays() {
    let [peer] = peers();
    let registry = Registry::of(&[&peer]);
    let channel = registry.channel(|builder| builder);
    call(&channel).await.unwrap();
    registry.set(&[]);
    settle().await;
    call(&channel).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_any_address_calls_fail_or_wait() {
    let registry = Registry::of(&[]);
    let channel = registry.channel(|builder| builder);
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.message(),
        "could not resolve test:///peers: it has no address"
    );

    let waiting = channel.unary(&UNARY, String::new()).wait_for_ready(true);
    let waiting = tokio::spawn(waiting.into_future());
    settle().await;
    let [peer] = peers();
    registry.set(&[&peer]);
    waiting.await.unwrap().unwrap();
}
