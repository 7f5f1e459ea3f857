//! Metrics of calls, of their attempts and of servers ([gRFC A66], [gRFC A96]), through the API of OpenTelemetry.
//!
//! Spans drive them: a call and an attempt begin and end where their spans do. Without the feature `metrics`, what is
//! here does nothing and takes no room.
//!
//! [gRFC A66]: https://github.com/grpc/proposal/blob/master/A66-otel-stats.md
//! [gRFC A96]: https://github.com/grpc/proposal/blob/master/A96-retry-otel-stats.md

#[cfg(feature = "metrics")]
mod instruments;
#[cfg(feature = "metrics")]
mod meters;
#[cfg(not(feature = "metrics"))]
mod nothing;
#[cfg(feature = "metrics")]
mod served;
#[cfg(all(test, feature = "metrics"))]
mod tests;

use tonic::Code;

#[cfg(feature = "metrics")]
pub use self::instruments::Metrics;
#[cfg(feature = "metrics")]
pub(crate) use self::meters::{AttemptMeter, CallMeter, SendMeter, Source};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::nothing::{
    AttemptMeter, CallMeter, SendMeter, ServedMeter, ServerSource, Source,
};
#[cfg(feature = "metrics")]
pub(crate) use self::served::{ServedMeter, ServerSource};

/// What records how something ended. Its span holds it, and sees that it does so once.
pub(crate) trait Meter {
    fn finish(&mut self, code: Code);
}

/// What metrics know of a call from its start.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "metrics"), expect(dead_code))]
pub(crate) struct Metered<'a> {
    /// Package, service and method.
    pub(crate) method: &'a str,
    pub(crate) naming: Naming,
}

/// Where the name of a call's method comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// From a [`Method`](crate::Method), of which there are not many.
    Registered,
    /// From the path of a request: there may be any number of them.
    Generic,
}

/// What the attempts of a call after its first are, transparent ones apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FurtherAttempts {
    Retries,
    Hedges,
}
