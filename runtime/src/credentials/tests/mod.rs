//! Call credentials, under a paused clock, against a scripted peer.

mod bearer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tonic::{Code, Status, metadata::MetadataMap};
use wireloom_peer::{Act, Peer};

use super::{BearerCredentials, BearerToken, CallCredentials, CredentialsRequest};
use crate::{
    channel::{
        Channel, ChannelBuilder,
        resolver::{Resolver, ResolverUpdates},
    },
    client::{
        CallOptions,
        scripted_peer::{Scripted as _, previous_attempts, unavailable},
    },
    method::Method,
    policy::{RetryPolicy, StatusCodes},
};

static UNARY: Method<String, String> = Method::unary("/test.Test/Unary");

const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    initial_backoff: Duration::from_secs(1),
    max_backoff: Duration::from_secs(10),
    backoff_multiplier: 2.0,
    retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
};

/// Gives these pairs, and the number of times that it was asked.
#[derive(Clone)]
struct Pairs(Vec<(&'static str, String)>, Arc<AtomicU32>);

fn pairs(pairs: &[(&'static str, &str)]) -> Pairs {
    let owned = pairs.iter().map(|(key, value)| (*key, value.to_string()));
    Pairs(owned.collect(), Arc::default())
}

impl CallCredentials for Pairs {
    async fn metadata(&self, request: &CredentialsRequest<'_>) -> Result<MetadataMap, Status> {
        let mut metadata = MetadataMap::new();
        for (key, value) in &self.0 {
            metadata.insert(*key, value.parse().unwrap());
        }
        let asked = self.1.fetch_add(1, Relaxed) + 1;
        metadata.insert("asked", asked.into());
        metadata.insert("service-url", request.service_url().parse().unwrap());
        Ok(metadata)
    }
}

/// Fails with a status.
struct Failing(Code);

impl CallCredentials for Failing {
    async fn metadata(&self, _: &CredentialsRequest<'_>) -> Result<MetadataMap, Status> {
        Err(Status::new(self.0, "no token"))
    }
}

/// Finds nothing.
struct Anywhere;

impl Resolver for Anywhere {
    async fn run(&self, _: ResolverUpdates) {}
}

fn insecure(builder: ChannelBuilder) -> ChannelBuilder {
    builder.allow_insecure_credentials()
}

fn request() -> String {
    "request".to_owned()
}

/// The values of a header in what the peer saw last.
fn last(peer: &Peer, name: &str) -> Vec<String> {
    let seen = peer.seen().pop().unwrap();
    let values = seen.headers.get_all(name).into_iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_with_credentials_sends_nothing_in_plaintext() {
    let peer = Peer::new([Act::read().answer()]);
    let channel = peer.channel();
    let call = channel.unary(&UNARY, request()).credentials(pairs(&[]));
    let status = call.retry_policy(POLICY).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("nothing was sent"), "{status}");
    assert!(peer.seen().is_empty());
}

#[test]
fn a_channel_with_credentials_is_not_made_in_plaintext() {
    for target in [
        "http://h:1",
        "h:1",
        "http://localhost:1",
        "http://127.0.0.1:1",
    ] {
        let status = Channel::builder(target).credentials(pairs(&[])).lazy();
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("call credentials"), "{status}");
        let options = CallOptions::new().credentials(pairs(&[]));
        Channel::builder(target)
            .call_options(options)
            .lazy()
            .unwrap_err();
    }
    let socket = Channel::builder("unix:/run/x").credentials(pairs(&[]));
    socket.lazy().unwrap();
    // What a resolver finds may be anywhere.
    let anywhere = Channel::builder("unix:/run/x").resolver(Anywhere);
    anywhere.credentials(pairs(&[])).lazy().unwrap_err();
    let allowed = Channel::builder("h:1").credentials(pairs(&[]));
    allowed.allow_insecure_credentials().lazy().unwrap();
}

#[cfg(feature = "tls")]
#[test]
fn a_channel_with_credentials_is_made_with_tls() {
    use crate::tls::{ClientTls, Roots};

    let authority = wireloom_peer::Authority::new("the authority");
    let tls = ClientTls::new().roots(Roots::pem(authority.pem()));
    let channel = Channel::builder("dns:///h:1").tls(tls.clone());
    channel.credentials(pairs(&[])).lazy().unwrap();
    let status = Channel::builder("http://h:1").tls(tls).lazy().unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("http://"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_s_and_a_call_s_credentials_add_up_and_the_call_s_win() {
    let peer = Peer::new([Act::read().answer()]);
    let channel = peer.channel_with(|builder| {
        let options = CallOptions::new().credentials(pairs(&[("a", "options"), ("b", "options")]));
        let builder = insecure(builder).call_options(options);
        builder.credentials(pairs(&[
            ("b", "channel"),
            ("c", "channel"),
            ("d", "channel"),
        ]))
    });
    let call = channel.unary(&UNARY, request()).metadata("a", "metadata");
    let call = call.credentials(pairs(&[("c", "call")]));
    call.metadata("e", "metadata").await.unwrap();
    let seen = ["a", "b", "c", "d", "e"].map(|name| last(&peer, name));
    let expected = ["options", "channel", "call", "channel", "metadata"];
    assert_eq!(seen, expected.map(|value| [value.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_is_taken_out_of_what_credentials_give() {
    let peer = Peer::new([Act::read().answer()]);
    let channel = peer.channel_with(insecure);
    let credentials = pairs(&[
        ("grpc-timeout", "1n"),
        ("grpc-encoding", "gzip"),
        ("grpc-previous-rpc-attempts", "7"),
        ("te", "gzip"),
        ("content-type", "text/html"),
        ("kept", "yes"),
    ]);
    let call = channel.unary(&UNARY, request()).no_timeout();
    call.credentials(credentials).await.unwrap();
    for gone in [
        "grpc-timeout",
        "grpc-encoding",
        "grpc-previous-rpc-attempts",
    ] {
        assert!(last(&peer, gone).is_empty(), "{gone}");
    }
    assert_eq!(last(&peer, "te"), ["trailers"]);
    assert_eq!(last(&peer, "content-type"), ["application/grpc"]);
    assert_eq!(last(&peer, "kept"), ["yes"]);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_asked_before_each_attempt() {
    let peer = Peer::new([Act::refuse_stream(), unavailable(), Act::read().answer()]);
    let channel = peer.channel_with(|builder| insecure(builder).authority("h:443"));
    let call = channel.unary(&UNARY, request()).retry_policy(POLICY);
    call.credentials(pairs(&[])).await.unwrap();
    let asked: Vec<_> = peer
        .seen()
        .iter()
        .map(|seen| seen.header("asked").unwrap().to_owned())
        .collect();
    assert_eq!(asked, ["1", "2", "3"]);
    assert_eq!(last(&peer, "service-url"), ["https://h/test.Test"]);
}

#[tokio::test(start_paused = true)]
async fn codes_that_are_a_service_s_alone_become_internal() {
    let peer = Peer::new([]);
    let channel = peer.channel_with(insecure);
    use Code::*;
    let kept = [
        Cancelled,
        Unknown,
        DeadlineExceeded,
        PermissionDenied,
        ResourceExhausted,
    ];
    let kept = kept
        .into_iter()
        .chain([Unimplemented, Internal, Unavailable, Unauthenticated]);
    let changed = [
        Code::Ok,
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
    ];
    let changed = changed.into_iter().chain([Aborted, OutOfRange, DataLoss]);
    let cases = kept
        .map(|code| (code, code))
        .chain(changed.map(|code| (code, Internal)));
    for (code, expected) in cases {
        let call = channel.unary(&UNARY, request()).credentials(Failing(code));
        let status = call.await.unwrap_err();
        assert_eq!(status.code(), expected, "{code:?}");
        assert!(status.message().contains("no token"), "{status}");
    }
    assert!(peer.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn rule_37_credentials_that_fail_are_retried_by_the_policy_alone() {
    let peer = Peer::new([Act::read().answer()]);
    let channel = peer.channel_with(insecure);
    let begun = Instant::now();
    let call = channel.unary(&UNARY, request());
    call.credentials(Failing(Code::Unavailable))
        .await
        .unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO);

    /// Fails once.
    struct Once(AtomicU32);

    impl CallCredentials for Once {
        async fn metadata(&self, _: &CredentialsRequest<'_>) -> Result<MetadataMap, Status> {
            match self.0.fetch_add(1, Relaxed) {
                0 => Err(Status::unavailable("not now")),
                _ => Ok(MetadataMap::new()),
            }
        }
    }

    let call = channel.unary(&UNARY, request()).retry_policy(POLICY);
    call.credentials(Once(AtomicU32::new(0))).await.unwrap();
    assert_eq!(previous_attempts(&peer), [Some("1".to_owned())]);
    assert!(begun.elapsed() >= Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn credentials_that_hang_end_with_the_deadline() {
    let peer = Peer::new([Act::read().answer()]);
    let channel = peer.channel_with(insecure);
    let hanging = BearerCredentials::fetched(std::future::pending::<Result<BearerToken, Status>>);
    let begun = Instant::now();
    let call = channel
        .unary(&UNARY, request())
        .timeout(Duration::from_secs(3));
    let status = call.credentials(hanging).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert!(peer.seen().is_empty());
}
