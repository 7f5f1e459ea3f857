//! Throttling of retries.

use super::*;

#[test]
fn rule_8_throttling_is_read_in_thousandths() {
    let cases = [
        ("10", "0.1", (10_000, 100)),
        ("1000", "1", (1_000_000, 1000)),
        (r#""10""#, r#""0.5""#, (10_000, 500)),
        ("0.5", "0.001", (500, 1)),
        ("1e2", "1e9", (100_000, u32::MAX)),
    ];
    for (max_tokens, token_ratio, thousandths) in cases {
        let throttling = read_throttling(max_tokens, token_ratio).unwrap();
        let read = (
            throttling.max_tokens_thousandths(),
            throttling.token_ratio_thousandths(),
        );
        assert_eq!(read, thousandths, "{max_tokens} {token_ratio}");
    }
}

#[test]
fn rule_8_token_ratio_is_truncated_to_three_decimals() {
    for (value, thousandths) in [
        ("0.5466", 546),
        ("0.57", 570),
        ("0.9999", 999),
        ("1.2345", 1234),
    ] {
        let throttling = read_throttling("10", value).unwrap();
        assert_eq!(throttling.token_ratio_thousandths(), thousandths, "{value}");
    }
}

#[test]
fn rule_8_tokens_out_of_bounds_are_rejected() {
    for value in ["null", "0", "-1", "1000.5", "1001", "1e300", "0.0009"] {
        let error = read_throttling(value, "0.1").unwrap_err();
        assert_eq!(error.field(), "retryThrottling.maxTokens", "{value}");
    }
    for value in ["null", "0", "-0.0", "-1", "0.0009", r#""x""#] {
        let error = read_throttling("10", value).unwrap_err();
        assert_eq!(error.field(), "retryThrottling.tokenRatio", "{value}");
    }
}

fn read_throttling(
    max_tokens: &str,
    token_ratio: &str,
) -> Result<RetryThrottling, InvalidServiceConfig> {
    let json = format!(
        r#"{{"retryThrottling": {{"maxTokens": {max_tokens}, "tokenRatio": {token_ratio}}}}}"#
    );
    ServiceConfig::from_json(&json).map(|config| config.retry_throttling().unwrap())
}
