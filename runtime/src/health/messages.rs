//! The messages of `grpc.health.v1`, as prost-build makes them of [health.proto]; written by hand, so that this crate is
//! built without a generator. To make them again, run `wireloom generate` on that file, and take its messages.
//!
//! [health.proto]: https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto

use std::collections::HashMap;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct HealthCheckResponse {
    /// A [`ServingStatus`](super::ServingStatus), or [`SERVICE_UNKNOWN`].
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

/// `HealthCheckResponse.ServingStatus.SERVICE_UNKNOWN`, which only `Watch` tells.
pub(super) const SERVICE_UNKNOWN: i32 = 3;

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct HealthListRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HealthListResponse {
    #[prost(map = "string, message", tag = "1")]
    pub(super) statuses: HashMap<String, HealthCheckResponse>,
}
