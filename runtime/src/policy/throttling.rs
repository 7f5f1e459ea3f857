use super::InvalidPolicy;

/// The most tokens that [gRFC A6] allows, in thousandths.
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
const MOST_TOKENS: u32 = 1_000_000;

/// [gRFC A6]'s `retryThrottling`: how many failures a server may have before its callers stop retrying and hedging.
///
/// Tokens are counted in thousandths, in which the proposal's three decimals are exact. Each failed attempt costs a
/// whole token; each successful call gives back the ratio; at half of the tokens or below, no retry or hedge is sent.
///
/// ```
/// use wireloom::RetryThrottling;
///
/// // `"maxTokens": 10, "tokenRatio": 0.1`: ten calls must succeed to make up for an attempt that failed.
/// let throttling = RetryThrottling::from_thousandths(10_000, 100).unwrap();
/// assert_eq!(throttling.max_tokens_thousandths(), 10_000);
/// assert!(RetryThrottling::from_thousandths(0, 100).is_err());
/// ```
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryThrottling {
    max_tokens: u32,
    token_ratio: u32,
}

impl RetryThrottling {
    /// A bucket of `max_tokens` thousandths, to which each successful call adds `token_ratio` thousandths.
    ///
    /// # Errors
    ///
    /// `max_tokens` must be above 0 and at most 1000 tokens (1,000,000 thousandths), and `token_ratio` above 0.
    pub const fn from_thousandths(
        max_tokens: u32,
        token_ratio: u32,
    ) -> Result<Self, InvalidPolicy> {
        let reason = if max_tokens == 0 || max_tokens > MOST_TOKENS {
            "max_tokens must be above 0 and at most 1000 (1000000 thousandths)"
        } else if token_ratio == 0 {
            "token_ratio must be at least one thousandth"
        } else {
            return Ok(Self {
                max_tokens,
                token_ratio,
            });
        };
        Err(InvalidPolicy(reason))
    }

    /// As [`from_thousandths`](Self::from_thousandths), for what is known to be valid.
    ///
    /// # Panics
    ///
    /// When it is invalid; in a `static`, that is an error of the compiler.
    pub const fn of_thousandths(max_tokens: u32, token_ratio: u32) -> Self {
        match Self::from_thousandths(max_tokens, token_ratio) {
            Ok(throttling) => throttling,
            Err(invalid) => panic!("{}", invalid.reason()),
        }
    }

    /// What the bucket holds at first, and at most, in thousandths of a token.
    pub const fn max_tokens_thousandths(self) -> u32 {
        self.max_tokens
    }

    /// What a successful call adds, in thousandths of a token.
    pub const fn token_ratio_thousandths(self) -> u32 {
        self.token_ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_8_max_tokens_is_above_zero_and_at_most_1000() {
        assert!(RetryThrottling::from_thousandths(0, 1).is_err());
        assert!(RetryThrottling::from_thousandths(1, 1).is_ok());
        assert!(RetryThrottling::from_thousandths(1_000_000, 1).is_ok());
        assert!(RetryThrottling::from_thousandths(1_000_001, 1).is_err());
    }

    #[test]
    fn rule_8_token_ratio_is_above_zero() {
        assert!(RetryThrottling::from_thousandths(1, 0).is_err());
    }
}
