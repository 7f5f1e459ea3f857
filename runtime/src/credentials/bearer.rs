use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tonic::{
    Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};

use super::{BoxFuture, CallCredentials, CredentialsRequest, fetched::Fetched};

/// Sends a token as `authorization: Bearer ...` ([RFC 6750]): always the same, or one that is fetched and kept until it
/// expires.
///
/// A token is fetched when a call first needs it; calls that need it meanwhile wait for the same fetch. From 90 seconds
/// before its expiry, the next call has a new one fetched in the background and goes on with the one there is; 30 seconds
/// before its expiry it is no longer sent, so that it does not expire on the way ([gRFC A97]; of a token that lives for
/// less than 12 minutes, an eighth and a 24th of its life). A fetch has 30 seconds. After one that failed the next one
/// waits (1 second, growing by 1.6 up to 2 minutes); calls without a good token fail until then with the same status.
///
/// ```
/// use std::time::Duration;
/// use wireloom::{BearerCredentials, BearerToken, Channel};
///
/// # async fn ask_for_token() -> Result<(String, u64), std::io::Error> { Ok((String::new(), 3600)) }
/// let credentials = BearerCredentials::fetched(|| async {
///     let (token, seconds) = ask_for_token().await?;
///     Ok::<_, std::io::Error>(BearerToken::new(token).expires_in(Duration::from_secs(seconds)))
/// });
/// let channel = Channel::builder("dns:///greeter.internal:50051").credentials(credentials);
/// ```
///
/// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
/// [gRFC A97]: https://github.com/grpc/proposal/blob/master/A97-xds-jwt-call-creds.md
#[derive(Clone, Debug)]
pub struct BearerCredentials(Source);

#[derive(Clone)]
enum Source {
    Fixed(BearerToken),
    Fetched(Arc<Fetched>),
}

/// A token, and how long it is good for.
#[derive(Clone)]
pub struct BearerToken {
    token: String,
    pub(super) expires_at: Option<Instant>,
}

impl BearerToken {
    /// A token that does not expire. White space around it, such as the end of a file's last line, is not part of it.
    pub fn new(token: impl AsRef<str>) -> Self {
        Self {
            token: token.as_ref().trim().to_owned(),
            expires_at: None,
        }
    }

    /// The token expires this long from now.
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_at = Instant::now().checked_add(lifetime);
        self
    }

    /// The token expires at a time of the system's clock, as a JWT's `exp` says.
    #[must_use]
    pub fn expires_at(self, time: SystemTime) -> Self {
        let lifetime = time.duration_since(SystemTime::now());
        self.expires_in(lifetime.unwrap_or_default())
    }

    pub(super) fn header(&self) -> Result<AsciiMetadataValue, Status> {
        format!("Bearer {}", self.token)
            .parse()
            .map_err(|_| Status::unauthenticated("the bearer token is no visible ASCII"))
    }
}

/// Without the token.
impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl BearerCredentials {
    /// Sends `token` with every call.
    pub fn fixed(token: impl AsRef<str>) -> Self {
        Self(Source::Fixed(BearerToken::new(token)))
    }

    /// Sends what `fetch` gives, as long as it is good. A [`Status`] that it fails with is the call's; any other error
    /// is UNAVAILABLE. It runs on a task of its own, and outlives the call that asked first.
    pub fn fetched<F, R, E>(fetch: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<BearerToken, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let fetch = move || -> BoxFuture<'static, _> {
            let fetching = fetch();
            Box::pin(async move { fetching.await.map_err(|error| failure(error.into())) })
        };
        Self(Source::Fetched(Arc::new(Fetched::by(fetch))))
    }
}

impl CallCredentials for BearerCredentials {
    async fn metadata(&self, _: &CredentialsRequest<'_>) -> Result<MetadataMap, Status> {
        let header = match &self.0 {
            Source::Fixed(token) => token.header()?,
            Source::Fetched(fetched) => fetched.header().await?,
        };
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", header);
        Ok(metadata)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "fixed",
            Self::Fetched(_) => "fetched",
        })
    }
}

fn failure(error: Box<dyn std::error::Error + Send + Sync>) -> Status {
    match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) => {
            let mut failed = Status::unavailable(format!("could not fetch a token: {error}"));
            failed.set_source(Arc::from(error));
            failed
        }
    }
}
