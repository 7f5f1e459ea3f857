//! gRFC A6's throttling of retries: counted in thousandths of a token, in which the proposal's three decimals are exact.

use super::{Judge, durations};
use crate::error::Error;
use crate::model::RetryThrottling;
use crate::source::Spot;
use crate::syntax::{self, Written};

/// The most tokens that gRFC A6 allows, in thousandths.
const MOST_TOKENS: u32 = 1_000_000;

/// Refuses throttling of one method: a server has one count of tokens, and the methods of a service are the least of it.
pub(in crate::lower) fn refuse_throttling(of_method: &syntax::Policy, errors: &mut Vec<Error>) {
    if let Some(Written { spot, .. }) = &of_method.retry_throttling {
        let message = "`retry_throttling` holds for a server, and not for one method";
        let error = spot.error(message, "must be a service's or a package's");
        errors.push(error.with_help(
            "move it to `option (wireloom.service)`, or to `[services.\"..\"]` or `[packages.\"..\"]` in wireloom.toml",
        ));
    }
}

impl Judge<'_> {
    pub(super) fn throttling(
        &mut self,
        written: &Written<syntax::RetryThrottling>,
    ) -> Option<RetryThrottling> {
        let Written { value, spot } = written;
        let max_tokens = self.tokens(
            "max_tokens",
            &value.max_tokens,
            spot,
            |tokens| match tokens {
                1..=MOST_TOKENS => Ok(()),
                _ => Err("must be above 0 and at most 1000"),
            },
        );
        let token_ratio = self.tokens(
            "token_ratio",
            &value.token_ratio,
            spot,
            |ratio| match ratio {
                0 => Err("must be at least 0.001"),
                _ => Ok(()),
            },
        );
        let (max_tokens, token_ratio) = (max_tokens?, token_ratio?);
        Some(RetryThrottling {
            max_tokens_thousandths: max_tokens,
            max_tokens_thousandths_rust: durations::grouped(max_tokens.into()),
            token_ratio_thousandths: token_ratio,
            token_ratio_thousandths_rust: durations::grouped(token_ratio.into()),
            origins: self.origins(value.fields()),
        })
    }

    /// A required number of tokens, in thousandths.
    fn tokens(
        &mut self,
        name: &'static str,
        field: &Option<Written<f64>>,
        spot: &Spot,
        check: impl FnOnce(u32) -> Result<(), &'static str>,
    ) -> Option<u32> {
        let field = self.required(name, field, spot)?;
        let tokens = thousandths(field.value);
        if let Err(must) = check(tokens) {
            let message = format!("`{}` {must}", self.named(name));
            self.reject(&field.spot, message, must);
            return None;
        }
        Some(tokens)
    }
}

/// A number cut off after three decimals, as a count of thousandths: 0 where it is negative or none, and the largest count
/// where it is larger.
fn thousandths(number: f64) -> u32 {
    if number.is_nan() || number <= 0.0 {
        return 0;
    }
    // The shortest decimal that reads as the number: multiplying it would round.
    let decimal = number.to_string();
    let (whole, fraction) = decimal.split_once('.').unwrap_or((&decimal, ""));
    let digits = format!("{whole}{fraction:0<3.3}");
    digits.parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_8_tokens_are_cut_off_after_three_decimals() {
        for (number, count) in [
            (10.0, 10_000),
            (0.5466, 546),
            (0.57, 570),
            (1e3, 1_000_000),
            (1000.001, 1_000_001),
            (0.0009, 0),
            (-1.0, 0),
            (1e300, u32::MAX),
            (f64::NAN, 0),
        ] {
            assert_eq!(thousandths(number), count, "{number}");
        }
    }
}
