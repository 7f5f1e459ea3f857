//! What a policy makes of errors.

use wireloom::Code;
use wireloom_peer::Act;

use super::{Case, plain, retried, unavailable};

pub fn cases() -> Vec<Case> {
    let pushback = |value| Act::push_back(Code::Unavailable, value);
    let numbered = |number| Act::read().trailers_only(Code::Unavailable, &[("attempt", number)]);
    let two_pushbacks = ["1", "2"].map(|value| ("grpc-retry-pushback-ms", value));
    let at_once = Act::default().trailers_only(Code::Unavailable, &[]);
    vec![
        retried("two retries", vec![unavailable(); 2]),
        retried("attempts run out", ["1", "2", "3"].map(numbered).to_vec()),
        retried("retries before the request has ended", vec![at_once; 2]),
        retried("a code not listed", vec![Act::fail(Code::Internal)]),
        retried(
            "headers, then an error",
            vec![Act::read().headers().trailers(Code::Unavailable)],
        ),
        retried(
            "a message, then an error",
            vec![
                Act::read()
                    .headers()
                    .message("answer")
                    .trailers(Code::Unavailable),
            ],
        ),
        retried("a pushback", vec![pushback("20"), pushback("10")]),
        retried("a pushback that says stop", vec![pushback("-1")]),
        retried(
            "a pushback of a code not listed",
            vec![Act::push_back(Code::Internal, "1")],
        ),
        retried("an unreadable pushback", vec![pushback("soon")]),
        retried(
            "two pushbacks in one",
            vec![Act::read().trailers_only(Code::Unavailable, &two_pushbacks)],
        ),
        Case {
            of_method: r#""retryPolicy": {"maxAttempts": 9, "initialBackoff": "0.01s", "maxBackoff": "0.01s",
               "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}"#,
            ..retried("more attempts than the cap", vec![unavailable(); 9])
        },
        Case {
            of_method: r#""retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s", "maxBackoff": "0.01s",
               "backoffMultiplier": 1, "retryableStatusCodes": [14]}"#,
            ..plain("a status code by its number", unavailable())
        },
        Case {
            of_method: r#""hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "1s",
               "nonFatalStatusCodes": ["UNAVAILABLE"]}"#,
            ..plain("a hedge", unavailable())
        },
        Case {
            of_server: r#", "retryThrottling": {"maxTokens": 2, "tokenRatio": 0.1}"#,
            ..retried("throttled at half the tokens", vec![unavailable(); 3])
        },
    ]
}
