use std::time::Duration;

use wireloom::{Code, Method, RetryPolicy, StatusCodes};

pub static SAY_HELLO: Method<String, String> =
    Method::unary("/helloworld.Greeter/SayHello").with_retry_policy(RetryPolicy {
        max_attempts: 1,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        backoff_multiplier: 2.0,
        retryable_status_codes: StatusCodes::new(&[Code::Unavailable]),
    });
