//! Whether a server's services are well, told as `grpc.health.v1` ([gRPC's health checking]).
//!
//! Every [`Server`](crate::Server) answers `Check`, `List` and `Watch`, unless
//! [`without_health`](crate::Server::without_health) says otherwise. A [`HealthReporter`] says what they answer.
//!
//! [gRPC's health checking]: https://github.com/grpc/grpc/blob/master/doc/health-checking.md

mod messages;
mod reporter;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use self::messages::{HealthCheckRequest, HealthCheckResponse};
pub use self::reporter::{HealthReporter, ServingStatus};
pub(crate) use self::service::Health;
