//! Who calls: what finds it out, and what a server's handlers learn of it.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use http::Extensions;
use tonic::{Code, Status, metadata::MetadataMap};

/// Finds out who calls, by what a request brings: a bearer token, an API key, a cookie.
///
/// A server asks its authenticators, in the order they were [added](crate::Server::authenticator), for each call of a
/// method that is not [`Public`](crate::Authorization::Public), within the call's deadline and before interceptors, until one
/// knows the caller.
///
/// ```
/// use wireloom::{AuthenticationRequest, Authenticator, Caller, Status};
///
/// /// Knows one key.
/// struct ApiKey(&'static str);
///
/// impl Authenticator for ApiKey {
///     async fn authenticate(&self, request: &AuthenticationRequest<'_>) -> Result<Option<Caller>, Status> {
///         let Some(key) = request.metadata().get("x-api-key") else {
///             return Ok(None);
///         };
///         match key == self.0 {
///             true => Ok(Some(Caller::new("the batch job").with_scopes(["tasks.read"]))),
///             false => Err(Status::unauthenticated("the key in x-api-key is not known")),
///         }
///     }
/// }
///
/// let server = wireloom::Server::builder().authenticator(ApiKey("0123456789"));
/// ```
///
/// (A key that is worth guessing is compared in constant time.)
pub trait Authenticator: Send + Sync + 'static {
    /// Who calls; `None` where the request brings nothing that this authenticator knows of.
    ///
    /// # Errors
    ///
    /// UNAUTHENTICATED for credentials that are not valid here: where no authenticator after this one knows the caller, the
    /// call ends with it. With any other status, such as UNAVAILABLE where that cannot be told now, it ends at once. The
    /// caller reads the message: it must not say more than who has no right to know may know.
    fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> impl Future<Output = Result<Option<Caller>, Status>> + Send;
}

/// A request whose caller is not known yet.
#[derive(Debug)]
pub struct AuthenticationRequest<'a> {
    pub(crate) path: &'a str,
    pub(crate) metadata: &'a MetadataMap,
    pub(crate) extensions: &'a Extensions,
}

impl AuthenticationRequest<'_> {
    /// Package, service and method (`helloworld.Greeter/SayHello`).
    pub fn full_name(&self) -> &str {
        self.path.trim_start_matches('/')
    }

    /// What the request brings.
    pub fn metadata(&self) -> &MetadataMap {
        self.metadata
    }

    /// What is known of the connection: its [`PeerAddr`](crate::server::PeerAddr), and with TLS the identity in the
    /// client's certificate, if it has one.
    pub fn extensions(&self) -> &Extensions {
        self.extensions
    }
}

/// Who calls, as an [`Authenticator`] found out. It is in the extensions of a [`Request`](crate::Request), and in those
/// that interceptors see. Cloning it is cheap.
#[derive(Clone)]
pub struct Caller(Arc<Known>);

#[derive(Clone)]
struct Known {
    subject: String,
    scopes: Vec<String>,
    extensions: Extensions,
}

impl Caller {
    /// A caller by its name, without scopes.
    pub fn new(subject: impl Into<String>) -> Self {
        Self(Arc::new(Known {
            subject: subject.into(),
            scopes: Vec::new(),
            extensions: Extensions::new(),
        }))
    }

    /// Gives it scopes, beside those it has: what it may do.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes = scopes.into_iter().map(Into::into);
        Arc::make_mut(&mut self.0).scopes.extend(scopes);
        self
    }

    /// Has handlers find `extension` in their request's extensions.
    #[must_use]
    pub fn with_extension<T: Clone + Send + Sync + 'static>(mut self, extension: T) -> Self {
        Arc::make_mut(&mut self.0).extensions.insert(extension);
        self
    }

    /// Its name: the subject of a token. Empty where it has none.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// What it may do.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.iter().map(String::as_str)
    }

    /// Whether it may do that.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|has| has == scope)
    }

    /// Puts it where handlers and interceptors find it.
    pub(crate) fn extend(self, extensions: &mut Extensions) {
        if !self.0.extensions.is_empty() {
            extensions.extend(self.0.extensions.clone());
        }
        extensions.insert(self);
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("subject", &self.0.subject)
            .field("scopes", &self.0.scopes)
            .finish_non_exhaustive()
    }
}

type Authenticating<'a> = Pin<Box<dyn Future<Output = Result<Option<Caller>, Status>> + Send + 'a>>;

/// [`Authenticator`] without its type.
trait ErasedAuthenticator: Send + Sync {
    fn authenticate<'a>(&'a self, request: &'a AuthenticationRequest<'a>) -> Authenticating<'a>;
}

impl<A: Authenticator> ErasedAuthenticator for A {
    fn authenticate<'a>(&'a self, request: &'a AuthenticationRequest<'a>) -> Authenticating<'a> {
        Box::pin(Authenticator::authenticate(self, request))
    }
}

/// The authenticators of a server, in their order.
#[derive(Clone, Default)]
pub(crate) struct Authenticators(Vec<Arc<dyn ErasedAuthenticator>>);

impl Authenticators {
    pub(crate) fn add(&mut self, authenticator: impl Authenticator) {
        self.0.push(Arc::new(authenticator));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the first says that knows the caller; where none does, why the first did not that knew its credentials.
    pub(crate) async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Caller>, Status> {
        let mut refusal = None;
        for authenticator in &self.0 {
            match authenticator.authenticate(request).await {
                Ok(None) => {}
                Ok(caller) => return Ok(caller),
                // Credentials of one issuer may be another's.
                Err(status) if status.code() == Code::Unauthenticated => {
                    refusal.get_or_insert(status);
                }
                Err(status) => return Err(status),
            }
        }
        refusal.map_or(Ok(None), Err)
    }
}

impl fmt::Debug for Authenticators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} authenticators", self.0.len())
    }
}
