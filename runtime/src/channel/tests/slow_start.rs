//! Servers that are new, beside others that are not.

use super::*;
use crate::policy::SlowStart;

const WINDOW: Duration = Duration::from_secs(100);

fn slow_start(builder: ChannelBuilder) -> ChannelBuilder {
    builder.load_balancing(LoadBalancing::LeastRequest {
        choice_count: 2,
        slow_start: Some(SlowStart::new(WINDOW)),
    })
}

/// How many of a thousand calls, one after the other, come to the peer.
async fn share(channel: &Channel, peer: &Peer) -> usize {
    let before = peer.seen().len();
    for _ in 0..1000 {
        call(channel).await.unwrap();
    }
    peer.seen().len() - before
}

#[tokio::test(start_paused = true)]
async fn the_share_of_a_new_server_grows_within_the_window() {
    fastrand::seed(7);
    let [old, new] = peers();
    let registry = Registry::of(&[&old]);
    let channel = registry.channel(slow_start);
    call(&channel).await.unwrap();
    tokio::time::sleep(2 * WINDOW).await;
    registry.set(&[&old, &new]);
    settle().await;
    // A tenth of the other's: one in eleven.
    let at_first = share(&channel, &new).await;
    assert!((60..125).contains(&at_first), "{at_first}");
    tokio::time::sleep(WINDOW / 2).await;
    // Half of the other's: one in three.
    let halfway = share(&channel, &new).await;
    assert!((280..390).contains(&halfway), "{halfway}");
    tokio::time::sleep(WINDOW / 2).await;
    let at_last = share(&channel, &new).await;
    assert!((450..550).contains(&at_last), "{at_last}");
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_equally_new_share_equally() {
    fastrand::seed(7);
    let [one, other] = peers();
    let channel = Registry::of(&[&one, &other]).channel(slow_start);
    call(&channel).await.unwrap();
    settle().await;
    let share = share(&channel, &one).await;
    assert!((450..550).contains(&share), "{share}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_could_not_be_reached_is_new_again() {
    for (refusals, is_new) in [(0, false), (1, true)] {
        fastrand::seed(7);
        let other = Peer::new([]);
        let mut attempts = vec![Connect::Accept];
        attempts.extend(std::iter::repeat_n(Connect::Refuse, refusals));
        let peer = connecting(attempts);
        let channel = Registry::of(&[&other, &peer]).channel(slow_start);
        call(&channel).await.unwrap();
        tokio::time::sleep(2 * WINDOW).await;
        share(&channel, &peer).await;
        peer.close(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(peer.connections(), 2);
        let share = share(&channel, &peer).await;
        assert_eq!(share < 150, is_new, "{share} after {refusals} refusals");
    }
}
