//! Interceptors: what a user runs around every call, on the client or on the server.

#[cfg(test)]
pub(crate) mod panicking;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Extensions, HeaderMap};
use tonic::{Code, Response, Status, metadata::MetadataMap};

use crate::{deadline::Deadline, frame::FrameScanner, reserved};

/// Runs around calls: all of a channel ([`ChannelBuilder::interceptor`]) or all of a server ([`Server::interceptor`]).
///
/// It sees the method, the metadata and the deadline before the call goes on, and the response's metadata, or the
/// status that the call failed with, after. It may change metadata, wait, answer with a status of its own, or look at
/// what passes later by [`InterceptedCall::observe`]: the size of each message and the final status.
///
/// The one that was added first is the outermost. On a client, interceptors run once per call, within its deadline and
/// its span, and around all of its attempts; on a server, around the handler, with its [`Context`](crate::Context).
///
/// ```
/// use wireloom::{Interceptor, InterceptedCall, Next, Response, Status};
///
/// /// Adds a token to each call.
/// struct Authorize {
///     token: String,
/// }
///
/// impl Interceptor for Authorize {
///     async fn intercept(&self, mut call: InterceptedCall, next: Next<'_>) -> Result<Response<()>, Status> {
///         let value = format!("Bearer {}", self.token).parse();
///         let value = value.map_err(|_| Status::unauthenticated("the token is no ASCII"))?;
///         call.metadata_mut().insert("authorization", value);
///         next.run(call).await
///     }
/// }
///
/// # fn example() -> Result<(), Status> {
/// let channel = wireloom::Channel::builder("http://localhost:50051")
///     .interceptor(Authorize { token: "secret".to_owned() })
///     .lazy()?;
/// # Ok(())
/// # }
/// ```
///
/// [`ChannelBuilder::interceptor`]: crate::ChannelBuilder::interceptor
/// [`Server::interceptor`]: crate::Server::interceptor
pub trait Interceptor: Send + Sync + 'static {
    /// Runs around one call: awaits `next.run(call)`, once, and returns what it gives, or ends the call with a status.
    ///
    /// The response has the metadata of the response headers; its messages pass by. A response without that `next` has
    /// run ends the call with INTERNAL.
    fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> impl Future<Output = Result<Response<()>, Status>> + Send;
}

/// Sees what passes in one call, from when an interceptor has it [observe](InterceptedCall::observe) the call.
///
/// Sizes are those on the wire, in bytes: as encoded and compressed, without framing.
pub trait CallObserver: Send + Sync + 'static {
    /// A message was handed over to be sent; on a client, once however many attempts send it.
    fn message_sent(&self, size: usize) {
        let _ = size;
    }

    /// A message came in.
    fn message_received(&self, size: usize) {
        let _ = size;
    }

    /// The call has ended: with OK, with a status, or with CANCELLED where its caller went away. Called once, last.
    fn ended(&self, status: &Status) {
        let _ = status;
    }
}

/// A call on its way through interceptors.
pub struct InterceptedCall {
    path: String,
    metadata: MetadataMap,
    extensions: Extensions,
    deadline: Option<Deadline>,
    observers: Arc<Observers>,
}

impl InterceptedCall {
    pub(crate) fn new(
        path: &str,
        metadata: MetadataMap,
        extensions: Extensions,
        deadline: Option<Deadline>,
        observers: Arc<Observers>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            metadata,
            extensions,
            deadline,
            observers,
        }
    }

    /// The HTTP/2 path (`/helloworld.Greeter/SayHello`).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Package, service and method (`helloworld.Greeter/SayHello`).
    pub fn full_name(&self) -> &str {
        self.path.trim_start_matches('/')
    }

    /// The request's metadata.
    pub fn metadata(&self) -> &MetadataMap {
        &self.metadata
    }

    /// The request's metadata, to be changed before it goes on. What gRPC reserves is taken out again on a client.
    pub fn metadata_mut(&mut self) -> &mut MetadataMap {
        &mut self.metadata
    }

    /// What else is known of the call: on a server, the [`PeerAddr`](crate::server::PeerAddr), and what handlers find in
    /// their request's extensions; on a client, nothing.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// What handlers find in their request's extensions.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// When the call ends at the latest, whatever it waits for.
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Has `observer` see what passes from now on.
    pub fn observe(&mut self, observer: impl CallObserver) {
        self.observers.add(Box::new(observer));
    }

    pub(crate) fn into_parts(self) -> (MetadataMap, Extensions) {
        (self.metadata, self.extensions)
    }
}

impl fmt::Debug for InterceptedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterceptedCall")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Last<'a> =
    Box<dyn FnOnce(InterceptedCall) -> BoxFuture<'a, Result<Response<()>, Status>> + Send + 'a>;

/// What a call comes to after an interceptor: the next one, or the call itself.
pub struct Next<'a> {
    rest: &'a [Shared],
    last: Last<'a>,
}

impl Next<'_> {
    /// Goes on with the call.
    ///
    /// # Errors
    ///
    /// The status of a call that ended without a response.
    pub async fn run(self, call: InterceptedCall) -> Result<Response<()>, Status> {
        match self.rest.split_first() {
            Some((next, rest)) => {
                let after = Next {
                    rest,
                    last: self.last,
                };
                next.0.intercept(call, after).await
            }
            None => (self.last)(call).await,
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

/// [`Interceptor`] without its type.
trait ErasedInterceptor: Send + Sync {
    fn intercept<'a>(
        &'a self,
        call: InterceptedCall,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Response<()>, Status>>;
}

impl<I: Interceptor> ErasedInterceptor for I {
    fn intercept<'a>(
        &'a self,
        call: InterceptedCall,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Response<()>, Status>> {
        Box::pin(Interceptor::intercept(self, call, next))
    }
}

#[derive(Clone)]
struct Shared(Arc<dyn ErasedInterceptor>);

/// The interceptors of a channel or a server, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Interceptors(Vec<Shared>);

impl Interceptors {
    pub(crate) fn add(&mut self, interceptor: impl Interceptor) {
        self.0.push(Shared(Arc::new(interceptor)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs `call` through all of them, then through `last`, whose response headers they may change. What else `last` gives
    /// passes by.
    pub(crate) async fn run<T, F>(
        &self,
        call: InterceptedCall,
        last: impl FnOnce(InterceptedCall) -> F + Send,
    ) -> Result<(HeaderMap, T), Status>
    where
        T: Send,
        F: Future<Output = Result<(HeaderMap, T), Status>> + Send,
    {
        let mut passed = None;
        let slot = &mut passed;
        let last = |call| async move {
            let (mut headers, given) = last(call).await?;
            *slot = Some((reserved::split_off(&mut headers), given));
            let metadata = MetadataMap::from_headers(headers);
            Ok(Response::from_parts(metadata, (), Extensions::new()))
        };
        let next = Next {
            rest: &self.0,
            last: Box::new(|call| Box::pin(last(call))),
        };
        let response = next.run(call).await?;
        let (protocol, given) = passed.ok_or_else(|| {
            Status::internal("an interceptor answered without having run the call")
        })?;
        let mut headers = reserved::strip(response.into_parts().0.into_headers());
        headers.extend(protocol);
        Ok((headers, given))
    }
}

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interceptors", self.0.len())
    }
}

/// The observers of one call.
#[derive(Default)]
pub(crate) struct Observers(Mutex<Vec<Box<dyn CallObserver>>>);

impl Observers {
    pub(crate) fn add(&self, observer: Box<dyn CallObserver>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(observer);
    }

    pub(crate) fn message_sent(&self, size: usize) {
        self.each(|observer| observer.message_sent(size));
    }

    pub(crate) fn message_received(&self, size: usize) {
        self.each(|observer| observer.message_received(size));
    }

    /// Tells all that the call has ended; what is told later is told to nobody.
    pub(crate) fn ended(&self, status: &Status) {
        let observers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for observer in observers {
            observer.ended(status);
        }
    }

    fn each(&self, tell: impl Fn(&dyn CallObserver)) {
        for observer in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            tell(&**observer);
        }
    }
}

/// Tells a call's observers, if it has any, of the messages in DATA that passes by in one direction.
#[derive(Default)]
pub(crate) struct Watch {
    observers: Option<Arc<Observers>>,
    scanner: FrameScanner,
}

impl Watch {
    pub(crate) fn new(observers: Option<Arc<Observers>>) -> Self {
        Self {
            observers,
            scanner: FrameScanner::default(),
        }
    }

    pub(crate) fn data_sent(&mut self, data: &[u8]) {
        if let Some(observers) = &self.observers {
            self.scanner.scan(data, |size| observers.message_sent(size));
        }
    }

    pub(crate) fn data_received(&mut self, data: &[u8]) {
        if let Some(observers) = &self.observers {
            self.scanner
                .scan(data, |size| observers.message_received(size));
        }
    }
}

impl Drop for Observers {
    fn drop(&mut self) {
        self.ended(&Status::new(Code::Cancelled, "the call was dropped"));
    }
}
