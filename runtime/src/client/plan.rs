//! What holds for one call: its own options over its channel's, the service config, and its method's policy.

use std::sync::Arc;

use http::{HeaderMap, uri::PathAndQuery};
use tonic::Status;

use super::{
    CallHead, TokenBucket,
    bounds::Bounds,
    idempotency::{self, IDEMPOTENCY_KEY},
    options::{Bound, CallOptions},
};
use crate::{
    channel::{ActiveConfig, Channel},
    compression::Compression,
    context::Context,
    deadline::{self, Deadline, GRPC_TIMEOUT},
    method::MethodDescriptor,
    policy::AttemptPolicy,
    service_config::MethodConfig,
};

/// A call before it starts.
pub(crate) struct Plan {
    pub(super) head: CallHead,
    /// Why the call cannot be made, for INVALID_ARGUMENT: interceptors and spans see it fail as any other.
    pub(super) refused: Option<Status>,
    pub(super) compression: Compression,
    pub(super) max_send_message_size: Option<usize>,
    pub(super) max_receive_message_size: Option<usize>,
}

impl Plan {
    /// The plan of a method's call.
    pub(super) async fn of_method(
        channel: &Channel,
        path: PathAndQuery,
        method: &'static MethodDescriptor,
        options: CallOptions,
    ) -> Self {
        Self::new(channel, path, Some(method), options).await
    }

    /// The plan of a request that tonic's client made: it has done the compression, and set a timeout by itself.
    pub(super) async fn of_request(
        channel: &Channel,
        path: PathAndQuery,
        metadata: HeaderMap,
    ) -> Self {
        let options = CallOptions::of_metadata(metadata);
        let plan = Self::new(channel, path, None, options).await;
        Self {
            compression: Compression::Identity,
            ..plan
        }
    }

    async fn new(
        channel: &Channel,
        path: PathAndQuery,
        method: Option<&MethodDescriptor>,
        options: CallOptions,
    ) -> Self {
        let mut refused = options.check_valid().err();
        let own_bound = options.bound;
        let mut options = match channel.call_options() {
            Some(defaults) => options.over(defaults),
            None => options,
        };
        match take_timeout_from(&mut options.metadata) {
            Ok(None) => {}
            Ok(Some(stated)) => options.bound = own_bound.or_earlier(stated),
            Err(status) => refused = refused.or(Some(status)),
        }
        let mut active = channel.active_config();
        if refused.is_none() && !active.is_valid() && waits_for_ready(&options, None, method) {
            // What holds for the call, its config has to say first.
            options.bound = wait_for_config(channel, options.bound, method).await;
            active = channel.active_config();
        }
        let config = active.config.method(path.path());
        let deadline = asked_deadline(options.bound, config, method);
        let attempts = attempts(&options, config, method);
        let wait_for_ready = waits_for_ready(&options, config, method);
        let mut metadata = options.metadata;
        if let Some(key) = options.idempotency_key {
            metadata.insert(IDEMPOTENCY_KEY, key.into_value());
        }
        let max_send_message_size = smaller(
            options.max_send_message_size,
            config.and_then(|config| config.max_request_message_bytes),
        )
        .or(method.and_then(MethodDescriptor::max_request_message_size));
        let max_receive_message_size = smaller(
            options.max_receive_message_size,
            config.and_then(|config| config.max_response_message_bytes),
        )
        .or(method.and_then(MethodDescriptor::max_response_message_size));
        Self {
            refused,
            compression: options.compression.unwrap_or_default(),
            max_send_message_size,
            max_receive_message_size,
            head: CallHead {
                path,
                kind: method.map(MethodDescriptor::kind),
                metadata,
                credentials: options.credentials,
                deadline,
                attempts,
                wait_for_ready,
                throttle: throttle(channel, &active, method),
            },
        }
    }
}

/// Takes a `grpc-timeout` that the caller put into the metadata as what it means: the timeout of this call, in place of the
/// channel's and the method's own.
fn take_timeout_from(metadata: &mut HeaderMap) -> Result<Option<Deadline>, Status> {
    let Some(timeout) = metadata.remove(GRPC_TIMEOUT) else {
        return Ok(None);
    };
    let timeout = deadline::decode_timeout(timeout.as_bytes()).map_err(Status::invalid_argument)?;
    Ok(Some(Deadline::after(timeout)))
}

fn waits_for_ready(
    options: &CallOptions,
    config: Option<&MethodConfig>,
    method: Option<&MethodDescriptor>,
) -> bool {
    options
        .wait_for_ready
        .or(config.and_then(|config| config.wait_for_ready))
        .unwrap_or(method.is_some_and(MethodDescriptor::wait_for_ready))
}

/// Waits for a valid config for as long as the call may take without one; gives what bounds the call from then on.
async fn wait_for_config(
    channel: &Channel,
    bound: Bound,
    method: Option<&MethodDescriptor>,
) -> Bound {
    let context = Context::current();
    let asked = Deadline::earliest(asked_deadline(bound, None, method), context.deadline());
    let mut bounds = Bounds::new(asked, context.cancellation());
    let valid = bounds.run(async {
        channel.valid_config().await;
        Ok(())
    });
    match (valid.await, asked, bound) {
        // The method's own timeout stands back behind the config's.
        (Ok(()), _, Bound::Unset) | (_, None, _) => bound,
        (_, Some(asked), _) => Bound::By(asked),
    }
}

fn asked_deadline(
    bound: Bound,
    config: Option<&MethodConfig>,
    method: Option<&MethodDescriptor>,
) -> Option<Deadline> {
    let configured = config.and_then(|config| config.timeout);
    let asked = match bound {
        Bound::Unset => configured
            .or(method.and_then(MethodDescriptor::timeout))
            .map(Deadline::after),
        Bound::Within(timeout) => Some(Deadline::after(timeout)),
        Bound::By(deadline) => Some(deadline),
        Bound::None => None,
    };
    Deadline::earliest(asked, configured.map(Deadline::after))
}

fn attempts(
    options: &CallOptions,
    config: Option<&MethodConfig>,
    method: Option<&MethodDescriptor>,
) -> AttemptPolicy {
    if let Some(attempts) = options.attempts {
        return attempts;
    }
    let layers = [
        config.map(|config| config.attempts),
        method.map(MethodDescriptor::attempts),
        options
            .idempotency_key
            .as_ref()
            .map(|_| AttemptPolicy::Retry(idempotency::RETRY_POLICY)),
    ];
    let mut set = layers
        .into_iter()
        .flatten()
        .filter(|attempts| *attempts != AttemptPolicy::Single);
    set.next().unwrap_or_default()
}

fn throttle(
    channel: &Channel,
    active: &ActiveConfig,
    method: Option<&MethodDescriptor>,
) -> Option<Arc<TokenBucket>> {
    active.throttle.clone().or_else(|| {
        let throttling = method?.retry_throttling()?;
        Some(channel.throttle_of_methods(throttling))
    })
}

fn smaller(limit: Option<usize>, configured: Option<u64>) -> Option<usize> {
    let configured = configured.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    match (limit, configured) {
        (Some(limit), Some(configured)) => Some(limit.min(configured)),
        (limit, configured) => limit.or(configured),
    }
}
