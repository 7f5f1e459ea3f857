//! Call credentials: metadata by which each call proves whose it is.

mod bearer;
mod fetched;
#[cfg(test)]
mod tests;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use http::{HeaderMap, uri::Authority};
use tonic::{Code, Status, metadata::MetadataMap};

pub use self::bearer::{BearerCredentials, BearerToken};
use crate::{deadline::GRPC_TIMEOUT, headers, reserved, status};

/// Gives each attempt of a call the metadata that proves whose it is, such as a token.
///
/// Credentials are set on a channel ([`ChannelBuilder::credentials`]) or on a call
/// ([`Call::credentials`](crate::Call::credentials)); a call that has both sends both, and of a key that both give, its
/// own. They are asked before each attempt, within the call's deadline, so that a retry does not repeat a token that has
/// expired, and before a connection is picked. What gRPC reserves is taken out of what they give; of a key that the call's
/// metadata has, too, theirs is sent.
///
/// They are sent where nobody on the way can read them: over TLS, and over Unix sockets. On another channel a call with
/// credentials fails with UNAUTHENTICATED before anything is sent, and a channel with credentials is not made, unless
/// [`allow_insecure_credentials`] says that they may go in plaintext.
///
/// The status that they fail with ends the attempt: UNAVAILABLE is for what may pass, and is retried where the call's
/// policy says so; UNAUTHENTICATED for what will not. Codes that only a service may give (INVALID_ARGUMENT, NOT_FOUND,
/// ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, DATA_LOSS) become INTERNAL ([gRFC A54]).
///
/// ```
/// use wireloom::{CallCredentials, CredentialsRequest, Status, metadata::MetadataMap};
///
/// /// Signs the name of the method.
/// struct Signed;
///
/// impl CallCredentials for Signed {
///     async fn metadata(&self, request: &CredentialsRequest<'_>) -> Result<MetadataMap, Status> {
///         let mut metadata = MetadataMap::new();
///         let signature = sign(request.full_name()).parse();
///         metadata.insert("signature", signature.map_err(|_| Status::unauthenticated("no ASCII"))?);
///         Ok(metadata)
///     }
/// }
/// # fn sign(text: &str) -> String { text.len().to_string() }
/// ```
///
/// [`ChannelBuilder::credentials`]: crate::ChannelBuilder::credentials
/// [`allow_insecure_credentials`]: crate::ChannelBuilder::allow_insecure_credentials
/// [gRFC A54]: https://github.com/grpc/proposal/blob/master/A54-restrict-control-plane-status-codes.md
pub trait CallCredentials: Send + Sync + 'static {
    /// The metadata of one attempt.
    fn metadata(
        &self,
        request: &CredentialsRequest<'_>,
    ) -> impl Future<Output = Result<MetadataMap, Status>> + Send;
}

/// What credentials are asked for.
#[derive(Clone, Copy, Debug)]
pub struct CredentialsRequest<'a> {
    authority: &'a Authority,
    path: &'a str,
}

impl<'a> CredentialsRequest<'a> {
    pub(crate) fn new(authority: &'a Authority, path: &'a str) -> Self {
        Self { authority, path }
    }

    /// The service that is called, as the audience of a JWT has it: `https://`, the channel's authority without the port
    /// 443, and the service's name (`https://greeter.example.com/helloworld.Greeter`).
    pub fn service_url(&self) -> String {
        let authority = self.authority.as_str();
        let host = authority.strip_suffix(":443").unwrap_or(authority);
        let (service, _) = self.path.rsplit_once('/').unwrap_or_default();
        format!("https://{host}{service}")
    }

    /// Package, service and method (`helloworld.Greeter/SayHello`).
    pub fn full_name(&self) -> &'a str {
        self.path.trim_start_matches('/')
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`CallCredentials`] without their type.
trait ErasedCredentials: Send + Sync {
    fn metadata<'a>(
        &'a self,
        request: &'a CredentialsRequest<'a>,
    ) -> BoxFuture<'a, Result<MetadataMap, Status>>;
}

impl<C: CallCredentials> ErasedCredentials for C {
    fn metadata<'a>(
        &'a self,
        request: &'a CredentialsRequest<'a>,
    ) -> BoxFuture<'a, Result<MetadataMap, Status>> {
        Box::pin(CallCredentials::metadata(self, request))
    }
}

/// The credentials of a call: its channel's, then its own.
#[derive(Clone, Default)]
pub(crate) struct Credentials(Vec<Arc<dyn ErasedCredentials>>);

impl Credentials {
    pub(crate) fn add(&mut self, credentials: impl CallCredentials) {
        self.0.push(Arc::new(credentials));
    }

    /// These after `defaults`.
    pub(crate) fn over(self, defaults: &Self) -> Self {
        match defaults.is_empty() {
            true => self,
            false => Self(defaults.0.iter().cloned().chain(self.0).collect()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What all of them give for one attempt.
    ///
    /// # Errors
    ///
    /// The status of the first that fails.
    pub(crate) async fn metadata(
        &self,
        request: &CredentialsRequest<'_>,
    ) -> Result<HeaderMap, Status> {
        let mut given = HeaderMap::new();
        for credentials in &self.0 {
            let metadata = credentials.metadata(request).await.map_err(allowed)?;
            given = headers::over(metadata.into_headers(), &given);
        }
        given.remove(GRPC_TIMEOUT);
        Ok(reserved::strip(given))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} credentials", self.0.len())
    }
}

/// A failure of credentials as the call's status: a code that only a service may give would lie about the service.
fn allowed(failure: Status) -> Status {
    use Code::{
        Aborted, AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, NotFound, Ok,
        OutOfRange,
    };
    match failure.code() {
        Ok | InvalidArgument | NotFound | AlreadyExists | FailedPrecondition | Aborted
        | OutOfRange | DataLoss => Status::internal(format!(
            "the call's credentials failed with {}, which is not theirs to give: {}",
            status::code_name(failure.code()),
            failure.message()
        )),
        _ => failure,
    }
}
