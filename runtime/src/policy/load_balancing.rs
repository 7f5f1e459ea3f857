/// How calls are spread over the addresses of a channel's target.
///
/// A service config's `loadBalancingConfig` replaces what is given by
/// [`ChannelBuilder::load_balancing`](crate::ChannelBuilder::load_balancing).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum LoadBalancing {
    /// All calls go to the first address that answers, tried in the order of [Happy Eyeballs] (`pick_first`). The default.
    ///
    /// [Happy Eyeballs]: https://github.com/grpc/proposal/blob/master/A61-IPv4-IPv6-dualstack-backends.md
    #[default]
    PickFirst,
    /// Each call goes to the next of all addresses that answer (`round_robin`).
    RoundRobin,
    /// Each call goes to that of some random addresses which has the fewest calls in flight
    /// (`least_request_experimental`, [gRFC A48]).
    ///
    /// [gRFC A48]: https://github.com/grpc/proposal/blob/master/A48-xds-least-request-lb-policy.md
    LeastRequest {
        /// How many addresses are compared: at least 2, at most 10; usually 2.
        choice_count: u32,
    },
}

impl LoadBalancing {
    /// The name that service configs have for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PickFirst => "pick_first",
            Self::RoundRobin => "round_robin",
            Self::LeastRequest { .. } => "least_request_experimental",
        }
    }
}
