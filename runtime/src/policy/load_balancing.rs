use super::{InvalidPolicy, RingHash, SlowStart};

/// How calls are spread over the addresses of a channel's target.
///
/// A service config's `loadBalancingConfig` replaces what is given by
/// [`ChannelBuilder::load_balancing`](crate::ChannelBuilder::load_balancing).
///
/// ```
/// use std::time::Duration;
/// use wireloom::{Channel, LoadBalancing, SlowStart};
///
/// # fn example() -> Result<(), wireloom::Status> {
/// let channel = Channel::builder("dns:///greeters:50051")
///     .load_balancing(LoadBalancing::LeastRequest {
///         choice_count: 2,
///         slow_start: Some(SlowStart::new(Duration::from_secs(30))),
///     })
///     .lazy()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LoadBalancing {
    /// All calls go to the first address that answers, tried in the order of [Happy Eyeballs] (`pick_first`). The default,
    /// without shuffling.
    ///
    /// [Happy Eyeballs]: https://github.com/grpc/proposal/blob/master/A61-IPv4-IPv6-dualstack-backends.md
    PickFirst {
        /// Whether the addresses are tried in a random order, anew whenever they change ([gRFC A62]): many clients that
        /// are given the same list then do not all go to its first.
        ///
        /// [gRFC A62]: https://github.com/grpc/proposal/blob/master/A62-pick-first.md
        shuffle_address_list: bool,
    },
    /// Each call goes to the next of all addresses that answer (`round_robin`).
    RoundRobin,
    /// Each call goes to that of some random addresses which has the fewest calls in flight
    /// (`least_request_experimental`, [gRFC A48]).
    ///
    /// [gRFC A48]: https://github.com/grpc/proposal/blob/master/A48-xds-least-request-lb-policy.md
    LeastRequest {
        /// How many addresses are compared: at least 2, at most 10; usually 2.
        choice_count: u32,
        /// Has servers that are new get their full share of calls only after a while. Service configs have no field for
        /// it: one that asks for this policy leaves in force what is set here.
        slow_start: Option<SlowStart>,
    },
    /// Calls with the same key go to the same address, as long as it answers (`ring_hash_experimental`).
    RingHash(RingHash),
}

impl Default for LoadBalancing {
    fn default() -> Self {
        Self::PickFirst {
            shuffle_address_list: false,
        }
    }
}

impl LoadBalancing {
    /// The name that service configs have for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PickFirst { .. } => "pick_first",
            Self::RoundRobin => "round_robin",
            Self::LeastRequest { .. } => "least_request_experimental",
            Self::RingHash(_) => "ring_hash_experimental",
        }
    }

    /// Checks what must hold of the fields.
    ///
    /// # Errors
    ///
    /// Says what must hold, for the first field for which it does not.
    pub fn validate(&self) -> Result<(), InvalidPolicy> {
        match self {
            Self::LeastRequest { choice_count, .. } if !(2..=10).contains(choice_count) => Err(
                InvalidPolicy("choice_count must be at least 2 and at most 10"),
            ),
            Self::LeastRequest {
                slow_start: Some(slow_start),
                ..
            } => slow_start.validate(),
            Self::RingHash(ring_hash) => ring_hash.validate(),
            _ => Ok(()),
        }
    }

    /// What a service config asks for, with what only code can say and `in_code` does.
    pub(crate) fn configured(configured: &Self, in_code: &Self) -> Self {
        match (configured, in_code) {
            (
                Self::LeastRequest {
                    choice_count,
                    slow_start: None,
                },
                Self::LeastRequest { slow_start, .. },
            ) => Self::LeastRequest {
                choice_count: *choice_count,
                slow_start: *slow_start,
            },
            _ => configured.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_policy_that_cannot_work_is_refused() {
        let least_request = |choice_count, window| LoadBalancing::LeastRequest {
            choice_count,
            slow_start: Some(SlowStart::new(Duration::from_secs(window))),
        };
        assert_eq!(least_request(2, 1).validate(), Ok(()));
        for (policy, field) in [
            (least_request(1, 1), "choice_count"),
            (least_request(11, 1), "choice_count"),
            (least_request(2, 0), "window"),
        ] {
            let error = policy.validate().expect_err(field);
            assert!(error.reason().starts_with(field), "{error}");
        }
    }

    #[test]
    fn a_service_config_leaves_slow_start_to_code() {
        let slow_start = Some(SlowStart::new(Duration::from_secs(1)));
        let of = |choice_count, slow_start| LoadBalancing::LeastRequest {
            choice_count,
            slow_start,
        };
        assert_eq!(
            LoadBalancing::configured(&of(3, None), &of(2, slow_start)),
            of(3, slow_start)
        );
        let other = LoadBalancing::RoundRobin;
        assert_eq!(LoadBalancing::configured(&of(3, None), &other), of(3, None));
    }
}
