//! Tokens that are fetched, under a paused clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tonic::{Code, Status};

use crate::{
    context::Context,
    credentials::{BearerCredentials, BearerToken, Credentials, CredentialsRequest},
    deadline::Deadline,
    trace::TraceContext,
};

/// Bearer credentials, and how often they fetched.
struct Bearer {
    credentials: Credentials,
    fetches: Arc<AtomicU32>,
}

impl Bearer {
    /// Each fetch takes a second and gives what `fetch` makes of its number, from 1.
    fn new(
        fetch: impl Fn(u32) -> Result<BearerToken, Status> + Send + Sync + Copy + 'static,
    ) -> Self {
        let fetches = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&fetches);
        let bearer = BearerCredentials::fetched(move || {
            let number = counted.fetch_add(1, Relaxed) + 1;
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                fetch(number)
            }
        });
        let mut credentials = Credentials::default();
        credentials.add(bearer);
        Self {
            credentials,
            fetches,
        }
    }

    async fn header(&self) -> Result<String, Status> {
        let authority = "h:1".parse().unwrap();
        let request = CredentialsRequest::new(&authority, "/test.Test/Unary");
        let headers = self.credentials.metadata(&request).await?;
        Ok(headers["authorization"].to_str().unwrap().to_owned())
    }

    fn fetches(&self) -> u32 {
        self.fetches.load(Relaxed)
    }
}

fn for_an_hour(number: u32) -> Result<BearerToken, Status> {
    Ok(BearerToken::new(number.to_string()).expires_in(Duration::from_secs(3600)))
}

#[tokio::test(start_paused = true)]
async fn callers_wait_for_the_same_fetch_and_later_ones_for_none() {
    let bearer = Bearer::new(for_an_hour);
    let begun = Instant::now();
    let (a, b, c) = tokio::join!(bearer.header(), bearer.header(), bearer.header());
    assert_eq!([a.unwrap(), b.unwrap(), c.unwrap()], ["Bearer 1"; 3]);
    tokio::time::advance(Duration::from_secs(3000)).await;
    assert_eq!(bearer.header().await.unwrap(), "Bearer 1");
    assert_eq!(bearer.fetches(), 1);
    assert_eq!(begun.elapsed(), Duration::from_secs(3001));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_end_the_fetch() {
    let bearer = Bearer::new(for_an_hour);
    let short = Duration::from_millis(10);
    tokio::time::timeout(short, bearer.header())
        .await
        .unwrap_err();
    assert_eq!(bearer.header().await.unwrap(), "Bearer 1");
    assert_eq!(bearer.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_in_the_background_before_it_expires() {
    let bearer = Bearer::new(for_an_hour);
    bearer.header().await.unwrap();
    tokio::time::advance(Duration::from_secs(3600 - 91)).await;
    bearer.header().await.unwrap();
    assert_eq!(bearer.fetches(), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    let begun = Instant::now();
    assert_eq!(bearer.header().await.unwrap(), "Bearer 1");
    assert_eq!(begun.elapsed(), Duration::ZERO, "the call waited");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bearer.header().await.unwrap(), "Bearer 2");
    assert_eq!(bearer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_about_to_expire_is_not_sent() {
    let bearer = Bearer::new(for_an_hour);
    bearer.header().await.unwrap();
    tokio::time::advance(Duration::from_secs(3600 - 29)).await;
    assert_eq!(bearer.header().await.unwrap(), "Bearer 2");
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_leaves_the_token_until_it_expires() {
    let bearer = Bearer::new(|number| match number {
        1 => for_an_hour(number),
        _ => Err(Status::unavailable("the issuer is away")),
    });
    bearer.header().await.unwrap();
    tokio::time::advance(Duration::from_secs(3600 - 80)).await;
    bearer.header().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(bearer.header().await.unwrap(), "Bearer 1");
    tokio::time::sleep(Duration::from_secs(50)).await;
    let status = bearer.header().await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "the issuer is away")
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_fetch_the_next_one_waits() {
    let bearer = Bearer::new(|number| match number {
        1 => Err(Status::permission_denied("not you")),
        _ => for_an_hour(number),
    });
    for _ in 0..3 {
        let status = bearer.header().await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, "not you")
        );
    }
    assert_eq!(bearer.fetches(), 1);
    tokio::time::advance(Duration::from_millis(1300)).await;
    assert_eq!(bearer.header().await.unwrap(), "Bearer 2");
}

#[tokio::test(start_paused = true)]
async fn what_a_fetch_fails_with_is_unavailable_unless_it_is_a_status() {
    let failing = || async { Err::<BearerToken, _>(std::io::Error::other("no network")) };
    let mut credentials = Credentials::default();
    credentials.add(BearerCredentials::fetched(failing));
    let authority = "h:1".parse().unwrap();
    let request = CredentialsRequest::new(&authority, "/test.Test/Unary");
    let status = credentials.metadata(&request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "could not fetch a token: no network");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_hangs_or_panics_fails_its_callers() {
    let hanging = BearerCredentials::fetched(std::future::pending::<Result<BearerToken, Status>>);
    let panicking = BearerCredentials::fetched(|| async {
        let token = String::from_utf8(vec![0xff]).unwrap();
        Ok::<_, Status>(BearerToken::new(token))
    });
    for bearer in [hanging, panicking] {
        let mut credentials = Credentials::default();
        credentials.add(bearer);
        let authority = "h:1".parse().unwrap();
        let request = CredentialsRequest::new(&authority, "/test.Test/Unary");
        let status = credentials.metadata(&request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("within 30s"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_expired_or_is_no_header_fails_the_call() {
    let expired = Bearer::new(|_| Ok(BearerToken::new("a").expires_in(Duration::ZERO)));
    let status = expired.header().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("expired already"), "{status}");

    let broken = Bearer::new(|_| Ok(BearerToken::new("a\nb")));
    let status = broken.header().await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lives_shortly_is_kept_for_most_of_its_life() {
    let bearer = Bearer::new(|number| {
        Ok(BearerToken::new(number.to_string()).expires_in(Duration::from_secs(60)))
    });
    bearer.header().await.unwrap();
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_eq!(bearer.header().await.unwrap(), "Bearer 1");
    assert_eq!(bearer.fetches(), 1);
    tokio::time::advance(Duration::from_secs(8)).await;
    assert_eq!(bearer.header().await.unwrap(), "Bearer 2");
}

#[tokio::test(start_paused = true)]
async fn the_line_end_of_a_token_s_file_is_not_sent() {
    let bearer = Bearer::new(|_| Ok(BearerToken::new("a\r\n")));
    assert_eq!(bearer.header().await.unwrap(), "Bearer a");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_is_not_bound_by_the_call_that_asked_first() {
    let bearer = Bearer::new(|number| {
        assert!(Context::current().deadline().is_none());
        for_an_hour(number)
    });
    let deadline = Some(Deadline::after(Duration::from_millis(10)));
    let context = Context::of_call(deadline, TraceContext::root());
    context.scope(bearer.header()).await.unwrap();
}

#[test]
fn tokens_are_not_shown() {
    let token = BearerToken::new("secret").expires_at(std::time::SystemTime::now());
    let shown = format!("{token:?} {:?}", BearerCredentials::fixed("secret"));
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_runtime_that_ends_before_its_fetch_begins_leaves_credentials_working() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let credentials =
        BearerCredentials::fetched(|| async { Ok::<_, Status>(BearerToken::new("t")) });
    let authority = http::uri::Authority::from_static("a");
    let request = crate::CredentialsRequest::new(&authority, "/a/b");
    runtime().block_on(async {
        let mut asked = std::pin::pin!(crate::CallCredentials::metadata(&credentials, &request));
        // Polled once, and then given up: as by a call whose `select!` ends.
        std::future::poll_fn(|cx| {
            let _ = std::future::Future::poll(asked.as_mut(), cx);
            std::task::Poll::Ready(())
        })
        .await;
    });
    runtime().block_on(async {
        let asked = crate::CallCredentials::metadata(&credentials, &request);
        let asked = tokio::time::timeout(std::time::Duration::from_secs(5), asked).await;
        // An error would do; a hang does not.
        let _ = asked.expect("it does not hang");
    });
}
