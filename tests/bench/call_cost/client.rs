//! The calls that are measured.

use std::time::Duration;

use wireloom::{Channel, Code, HedgingPolicy, Method, RetryPolicy, StatusCodes};

use super::{ALLOCATOR, Error, allocations::Totals};

/// Calls to make before anything is counted.
const WARM_UP: u32 = 100;

const CODES: StatusCodes = StatusCodes::new(&[Code::Unavailable]);

static SINGLE: Method<String, String> =
    Method::unary("/bench.Bench/Call").with_timeout(Duration::from_secs(10));

static RETRIED: Method<String, String> = Method::unary("/bench.Bench/Call")
    .with_timeout(Duration::from_secs(10))
    .with_retry_policy(RetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        backoff_multiplier: 2.0,
        retryable_status_codes: CODES,
    });

/// The first hedge comes only once a call is slower than any here, under callgrind, too.
static HEDGED: Method<String, String> = Method::unary("/bench.Bench/Call")
    .with_timeout(Duration::from_secs(10))
    .with_hedging_policy(HedgingPolicy {
        max_attempts: 3,
        hedging_delay: Duration::from_secs(5),
        non_fatal_status_codes: CODES,
    });

/// The policy of a call whose first attempt succeeds.
#[derive(Clone, Copy)]
pub enum Policy {
    Single,
    Retry,
    Hedging,
}

impl Policy {
    pub const ALL: [Self; 3] = [Self::Single, Self::Retry, Self::Hedging];

    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "no policy",
            Self::Retry => "retries, unused",
            Self::Hedging => "hedging, unused",
        }
    }

    pub fn named(name: &str) -> Result<Self, Error> {
        let named = Self::ALL.into_iter().find(|policy| policy.name() == name);
        named.ok_or_else(|| format!("no policy is called {name}").into())
    }

    /// The most bytes that it may allocate per call: handles to the message, not copies.
    pub fn bookkeeping(self) -> f64 {
        match self {
            Self::Single => 0.0,
            Self::Retry => 300.0,
            // Attempts that may be many are on the heap, with the timer of the next.
            Self::Hedging => 1500.0,
        }
    }

    fn method(self) -> &'static Method<String, String> {
        match self {
            Self::Single => &SINGLE,
            Self::Retry => &RETRIED,
            Self::Hedging => &HEDGED,
        }
    }
}

/// Which calls to make.
pub struct Job<'a> {
    pub address: &'a str,
    pub policy: Policy,
    pub message_bytes: usize,
}

/// Makes calls, one after the other, on a warm channel; gives what they allocated.
pub fn make_calls(job: &Job<'_>, calls: u32) -> Result<Totals, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let channel = Channel::lazy(job.address)?;
        let message = "x".repeat(job.message_bytes);
        let call = || channel.unary(job.policy.method(), message.clone());
        for _ in 0..WARM_UP {
            call().await?;
        }
        let before = ALLOCATOR.totals();
        for _ in 0..calls {
            call().await?;
        }
        Ok(ALLOCATOR.totals() - before)
    })
}
