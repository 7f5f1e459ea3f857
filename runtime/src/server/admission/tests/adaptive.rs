//! Adaptive limits in front of servers that are simulated: so many calls are served at a time, the others wait inside.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};
use tonic::Code;

use super::super::{
    gate::{Entered, Gate},
    gradient::{Gradient, Sample},
    limits::{AdaptiveLimit, Queue},
    place::{Measured, Place, Uploading},
};

const NO_QUEUE: Queue = Queue {
    max_calls: 0,
    max_wait: Duration::ZERO,
};

fn gate(bounds: AdaptiveLimit) -> Arc<Gate> {
    Gate::adaptive(bounds, NO_QUEUE)
}

/// A server that takes `takes` for a call, and serves `parallel` at a time. Who has waited for `deadline` has gone.
#[derive(Clone)]
struct Simulated {
    gate: Arc<Gate>,
    parallel: Arc<Semaphore>,
    takes: Duration,
    deadline: Duration,
}

impl Simulated {
    fn new(parallel: usize, takes: Duration, bounds: AdaptiveLimit) -> Self {
        Self {
            gate: gate(bounds),
            parallel: Arc::new(Semaphore::new(parallel)),
            takes,
            deadline: Duration::from_secs(60),
        }
    }

    /// Calls come in at a rate for a time; says how many were served, and how long the last second's took on average.
    async fn load(&self, calls_per_second: u32, time: Duration) -> (u32, Duration) {
        let start = Instant::now();
        let (done, mut served) = tokio::sync::mpsc::unbounded_channel();
        for call in 0.. {
            let at = start + Duration::from_secs(1) / calls_per_second * call;
            if at >= start + time {
                break;
            }
            sleep_until(at).await;
            if let Entered::In(permit) = self.gate.enter() {
                let (server, done) = (self.clone(), done.clone());
                tokio::spawn(async move {
                    let mut place = Place::default();
                    place.hold(permit);
                    drop(Uploading::of(place.measured().unwrap()));
                    let began = Instant::now();
                    let serve = async {
                        let _turn = server.parallel.acquire().await.unwrap();
                        sleep(server.takes).await;
                    };
                    if timeout(server.deadline, serve).await.is_err() {
                        return place.finish(Code::DeadlineExceeded);
                    }
                    place.finish(Code::Ok);
                    let _ = done.send((began, began.elapsed()));
                });
            }
        }
        drop(done);
        let (mut count, mut late) = (0, Vec::new());
        while let Some((began, latency)) = served.recv().await {
            count += 1;
            if began >= start + time - Duration::from_secs(1) {
                late.push(latency);
            }
        }
        let calls = u32::try_from(late.len()).unwrap().max(1);
        let mean = late.iter().sum::<Duration>() / calls;
        (count, mean)
    }
}

#[tokio::test(start_paused = true)]
async fn at_ten_times_the_load_latency_stays_near_the_usual_and_all_capacity_is_used() {
    // 32 at a time for 50 ms: 640 a second.
    let server = Simulated::new(32, Duration::from_millis(50), AdaptiveLimit::default());
    server.load(300, Duration::from_secs(5)).await;
    let (served, latency) = server.load(6400, Duration::from_secs(30)).await;
    assert!(served >= 640 * 30 * 95 / 100, "{served}");
    assert!(latency < Duration::from_millis(150), "{latency:?}");
}

/// Loads in percent of what a server can serve, one after the other; what it serves of each within a deadline, likewise.
async fn ramp(loads: impl IntoIterator<Item = u32>, time: Duration) -> Vec<(u32, u32)> {
    const CAPACITY: u32 = 400;
    let takes = Duration::from_millis(40);
    let server = Simulated {
        deadline: Duration::from_millis(250),
        ..Simulated::new(16, takes, AdaptiveLimit::default())
    };
    let seconds = u32::try_from(time.as_secs()).unwrap();
    let mut served = Vec::new();
    for load in loads {
        let (count, _) = server.load(CAPACITY * load / 100, time).await;
        served.push((load, count * 100 / (CAPACITY * seconds)));
    }
    served
}

#[tokio::test(start_paused = true)]
async fn a_load_that_rises_in_steps_past_what_can_be_served_leaves_goodput_at_its_peak() {
    let loads = [50, 80, 100, 101, 102, 105, 110, 120, 150, 200, 400, 1000];
    for (load, served) in ramp(loads, Duration::from_secs(5)).await {
        assert!(served >= load.min(100) * 9 / 10, "{served} % of {load} %");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_creeps_past_what_can_be_served_leaves_goodput_at_its_peak() {
    for (load, served) in ramp(
        (90..130).chain((130..400).step_by(10)),
        Duration::from_secs(2),
    )
    .await
    {
        assert!(served >= load.min(100) * 8 / 10, "{served} % of {load} %");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_of_just_what_can_be_served_does_not_become_the_usual() {
    let mut loads = vec![100; 60];
    loads.extend([150, 1000]);
    for (load, served) in ramp(loads, Duration::from_secs(5)).await {
        assert!(served >= 90, "{served} % of {load} %");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_overloaded_from_its_start_finds_its_usual_latency() {
    let bounds = AdaptiveLimit {
        initial: 1000,
        ..AdaptiveLimit::default()
    };
    let server = Simulated::new(32, Duration::from_millis(50), bounds);
    let (_, latency) = server.load(6400, Duration::from_secs(60)).await;
    assert!(latency < Duration::from_millis(150), "{latency:?}");
    assert!(server.gate.limit() < 128, "{}", server.gate.limit());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_too_low_grows_to_what_the_server_can_serve() {
    let server = Simulated::new(1000, Duration::from_millis(50), AdaptiveLimit::default());
    server.load(15_000, Duration::from_secs(15)).await;
    let (served, _) = server.load(15_000, Duration::from_secs(5)).await;
    assert!(served >= 15_000 * 5 * 95 / 100, "{served}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_becomes_slower_is_judged_by_its_new_latency_in_time() {
    let mut server = Simulated::new(64, Duration::from_millis(20), AdaptiveLimit::default());
    server.load(3000, Duration::from_secs(10)).await;
    // Four times slower, not for want of room.
    server.takes = Duration::from_millis(80);
    server.parallel.add_permits(64 * 3);
    server.load(6400, Duration::from_secs(60)).await;
    let (served, _) = server.load(6400, Duration::from_secs(10)).await;
    assert!(served >= 3200 * 10 * 90 / 100, "{served}");
}

#[tokio::test(start_paused = true)]
async fn a_load_far_below_the_limit_leaves_it_as_it_is() {
    let server = Simulated::new(64, Duration::from_millis(10), AdaptiveLimit::default());
    server.load(100, Duration::from_secs(10)).await;
    assert_eq!(server.gate.limit(), 64);
}

/// A gate through which a call took 10 ms in each of the last 20 windows.
async fn used_gate() -> Arc<Gate> {
    let bounds = AdaptiveLimit {
        initial: 10,
        min: 1,
        max: 10,
        ..AdaptiveLimit::default()
    };
    let server = Simulated {
        gate: gate(bounds),
        parallel: Arc::new(Semaphore::new(10)),
        takes: Duration::from_millis(10),
        deadline: Duration::from_secs(60),
    };
    server.load(200, Duration::from_secs(2)).await;
    server.gate
}

fn hold(gate: &Arc<Gate>) -> (Place, Arc<Measured>) {
    let Entered::In(permit) = gate.enter() else {
        panic!("the gate is full");
    };
    let mut place = Place::default();
    place.hold(permit);
    let measured = place.measured().unwrap();
    (place, measured)
}

#[tokio::test(start_paused = true)]
async fn a_stream_leaves_an_adaptive_limit_and_is_no_sample() {
    let gate = used_gate().await;
    for _ in 0..50 {
        let (place, measured) = hold(&gate);
        measured.leave();
        assert_eq!(gate.in_flight(), 0);
        sleep(Duration::from_secs(5)).await;
        place.finish(Code::Ok);
    }
    assert_eq!(gate.limit(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_request_takes_to_come_in_is_not_the_servers() {
    let gate = used_gate().await;
    for _ in 0..50 {
        let (place, measured) = hold(&gate);
        let uploading = Uploading::of(measured);
        sleep(Duration::from_secs(1)).await;
        drop(uploading);
        sleep(Duration::from_millis(10)).await;
        place.finish(Code::Ok);
    }
    assert_eq!(gate.limit(), 10);
}

/// Ten calls at a time, over and over, end with `code` after `takes`.
async fn repeat(gate: &Arc<Gate>, takes: Duration, code: Code) {
    for _ in 0..50 {
        let mut held = Vec::new();
        while let Entered::In(permit) = gate.enter() {
            let mut place = Place::default();
            place.hold(permit);
            drop(Uploading::of(place.measured().unwrap()));
            held.push(place);
        }
        sleep(takes).await;
        for place in held {
            place.finish(code);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_count_where_they_took_longer_than_usual() {
    let gate = used_gate().await;
    repeat(&gate, Duration::from_millis(2), Code::InvalidArgument).await;
    repeat(&gate, Duration::from_millis(10), Code::Ok).await;
    assert_eq!(
        gate.limit(),
        10,
        "fast errors have not made calls seem slow"
    );
    repeat(&gate, Duration::from_millis(200), Code::DeadlineExceeded).await;
    assert!(gate.limit() < 10, "{}", gate.limit());
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_late_before_they_begin_lower_the_limit() {
    let gate = used_gate().await;
    for _ in 0..50 {
        let held: Vec<_> = (0..gate.limit()).map(|_| hold(&gate).0).collect();
        sleep(Duration::from_millis(200)).await;
        held.into_iter().for_each(Place::came_late);
    }
    assert!(gate.limit() < 10, "{}", gate.limit());
}

#[tokio::test(start_paused = true)]
async fn one_slow_call_among_many_moves_nothing() {
    let mut gradient = Gradient::new(AdaptiveLimit::default());
    for window in 0..100 {
        for call in 0..100 {
            sleep(Duration::from_millis(2)).await;
            let slow = window > 10 && call == 0;
            gradient.sample(Sample {
                began: Instant::now(),
                latency: if slow {
                    Duration::from_secs(30)
                } else {
                    Duration::from_millis(5)
                },
                in_flight: 40,
                given_up: false,
            });
        }
    }
    assert!(gradient.limit() >= 64, "{}", gradient.limit());
}

proptest! {
    #[test]
    fn whatever_is_measured_the_limit_stays_within_its_bounds(
        samples in prop::collection::vec((0..20_000u64, 0..50u64, 0..2000usize, any::<bool>()), 1..500),
        min in 1..50usize,
        more in 0..500usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let bounds = AdaptiveLimit { initial: min, min, max: min + more, tolerance: 1.5 };
            let mut gradient = Gradient::new(bounds);
            for (latency, pause, in_flight, given_up) in samples {
                tokio::time::advance(Duration::from_millis(pause)).await;
                let latency = Duration::from_millis(latency);
                let began = Instant::now();
                gradient.sample(Sample { began, latency, in_flight, given_up });
                prop_assert!((min..=min + more).contains(&gradient.limit()));
            }
            Ok(())
        })?;
    }
}
