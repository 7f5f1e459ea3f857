use std::time::Duration;

use super::super::{
    Admission, AdmissionOptions, Entry, Limits, Place, Queue, RateLimit, Reason, Refusal,
};
use crate::Code;

fn concurrent(max_concurrent_calls: usize) -> Limits {
    let max_calls = 0;
    Limits {
        max_concurrent_calls: Some(max_concurrent_calls),
        queue: Queue {
            max_calls,
            ..Queue::default()
        },
        ..Limits::default()
    }
}

fn rate(calls_per_second: f64, burst: u32) -> Limits {
    Limits {
        rate: Some(RateLimit {
            calls_per_second,
            burst,
        }),
        ..Limits::default()
    }
}

fn admission(server: Limits, methods: &[(&str, Limits)]) -> Admission {
    let methods = methods
        .iter()
        .map(|(name, limits)| ((*name).to_owned(), *limits));
    Admission::new(&AdmissionOptions {
        limits: server,
        methods: methods.collect(),
        ..AdmissionOptions::default()
    })
    .unwrap()
}

fn enter(admission: &Admission, method: &str) -> Result<Place, Refusal> {
    match admission.enter(method)? {
        Entry::In(place) => Ok(place),
        Entry::Waits(_) => panic!("none may wait"),
    }
}

fn refused(admission: &Admission, method: &str) -> Option<Reason> {
    enter(admission, method).err().map(|refusal| refusal.reason)
}

#[tokio::test(start_paused = true)]
async fn a_method_is_held_to_its_own_limit_or_else_its_services_and_to_the_servers() {
    let limits = [("a.A/One", concurrent(1)), ("a.A", concurrent(2))];
    let admission = admission(concurrent(4), &limits);
    let _one = enter(&admission, "a.A/One").unwrap();
    assert_eq!(refused(&admission, "a.A/One"), Some(Reason::TooManyCalls));
    // The service's limit is that of its other methods together.
    let _others = ["a.A/Two", "a.A/Three"].map(|method| enter(&admission, method).unwrap());
    assert_eq!(refused(&admission, "a.A/Two"), Some(Reason::TooManyCalls));
    let _other = enter(&admission, "b.B/One").unwrap();
    assert_eq!(refused(&admission, "b.B/Two"), Some(Reason::TooManyCalls));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_method_refuses_takes_nothing_of_the_servers() {
    let admission = admission(rate(1.0, 2), &[("a.A/One", rate(1.0, 1))]);
    enter(&admission, "a.A/One").unwrap();
    for _ in 0..10 {
        assert_eq!(refused(&admission, "a.A/One"), Some(Reason::Rate));
    }
    enter(&admission, "b.B/One").unwrap();
    assert_eq!(refused(&admission, "b.B/One"), Some(Reason::Rate));
}

/// Says whether the server has two tokens left, and no more.
fn has_two_tokens(admission: &Admission) -> bool {
    [(); 3].map(|()| refused(admission, "b.B/One")) == [None, None, Some(Reason::Rate)]
}

#[tokio::test(start_paused = true)]
async fn a_call_for_which_its_method_has_no_room_takes_no_token_of_the_servers() {
    let admission = admission(rate(1.0, 3), &[("a.A/One", concurrent(1))]);
    let _held = enter(&admission, "a.A/One").unwrap();
    for _ in 0..10 {
        assert_eq!(refused(&admission, "a.A/One"), Some(Reason::TooManyCalls));
    }
    assert!(has_two_tokens(&admission));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_in_vain_takes_no_token_of_the_servers() {
    let limits = Limits {
        queue: Queue::default(),
        ..concurrent(1)
    };
    let admission = admission(rate(0.001, 3), &[("a.A/One", limits)]);
    let _held = enter(&admission, "a.A/One").unwrap();
    let waits = || match admission.enter("a.A/One") {
        Ok(Entry::Waits(waiting)) => waiting.place(),
        other => panic!("{other:?}"),
    };
    drop(waits());
    let refusal = waits().await.unwrap_err();
    assert_eq!(refusal.reason, Reason::WaitedTooLong);
    assert!(has_two_tokens(&admission));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_and_has_its_turn_takes_its_token() {
    let limits = Limits {
        queue: Queue::default(),
        ..concurrent(1)
    };
    let admission = admission(rate(0.001, 4), &[("a.A/One", limits)]);
    let held = enter(&admission, "a.A/One").unwrap();
    let Ok(Entry::Waits(waiting)) = admission.enter("a.A/One") else {
        panic!("there is room");
    };
    drop(held);
    let _place = waiting.place().await.unwrap();
    assert!(has_two_tokens(&admission));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_server_refuses_by_its_rate_takes_no_token_of_its_methods() {
    let admission = admission(rate(1.0, 1), &[("a.A/One", rate(0.001, 1))]);
    enter(&admission, "b.B/One").unwrap();
    assert_eq!(refused(&admission, "a.A/One"), Some(Reason::Rate));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(refused(&admission, "a.A/One"), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_server_refuses_leaves_its_methods_room() {
    let admission = admission(concurrent(1), &[("a.A/One", concurrent(1))]);
    let held = enter(&admission, "b.B/One").unwrap();
    assert!(refused(&admission, "a.A/One").is_some());
    drop(held);
    assert_eq!(refused(&admission, "a.A/One"), None);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_told_with_the_time_until_its_next_token() {
    let admission = admission(rate(5.0, 1), &[]);
    enter(&admission, "a.A/One").unwrap();
    let refusal = enter(&admission, "a.A/One").unwrap_err();
    assert_eq!(refusal.status().code(), Code::ResourceExhausted);
    let told = Duration::from_millis(200)..=Duration::from_millis(400);
    assert!(told.contains(&refusal.pushback), "{refusal:?}");
}

#[test]
fn health_and_reflection_are_exempt_unless_the_user_says_otherwise() {
    let mut options = AdmissionOptions {
        limits: rate(0.001, 1),
        ..AdmissionOptions::default()
    };
    let admission = Admission::new(&options).unwrap();
    for method in [
        "grpc.health.v1.Health/Check",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        assert_eq!([(); 2].map(|()| refused(&admission, method)), [None, None]);
    }
    options.exempt = vec!["a.A/One".to_owned()];
    let admission = Admission::new(&options).unwrap();
    assert_eq!(refused(&admission, "grpc.health.v1.Health/Check"), None);
    assert_eq!(
        refused(&admission, "grpc.health.v1.Health/Check"),
        Some(Reason::Rate)
    );
    assert_eq!(refused(&admission, "a.A/One"), None);
}

#[test]
fn limits_that_are_not_valid_are_told_with_their_name() {
    let options = AdmissionOptions {
        methods: [("a.A/One".to_owned(), concurrent(0))].into(),
        ..AdmissionOptions::default()
    };
    let status = Admission::new(&options).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        status.message(),
        "limits of a.A/One: max_concurrent_calls must be at least 1"
    );
}
