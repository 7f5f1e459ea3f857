//! What a call ends with, as large as its caller takes.
//!
//! A client that gets more than it takes fails the call by itself, and never sees the status.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, header::USER_AGENT};

use crate::status::{GRPC_MESSAGE, GRPC_STATUS_DETAILS};

/// How clients over gRPC's C core call it in their `user-agent`, behind their own product.
const C_CORE: &[u8] = b"grpc-c/";

/// The C core says that it takes this much, and refuses what has more than [`SURE`] now and then. Whoever sets it has that
/// from four fifths on.
const OF_C_CORE: usize = 16 << 10;

/// What clients should take at least ([the protocol's "Responses"]).
///
/// [the protocol's "Responses"]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
const SURE: usize = 8 << 10;

/// What HTTP/2 counts of a field beside its name and its value (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// `:status`, which a response without messages has beside its trailers.
const STATUS_FIELD: usize = 7 + 3 + FIELD_OVERHEAD;

/// What of a message is worth more than the details beside it.
const WORTH_KEEPING: usize = 1 << 10;

/// What a message that is cut off ends with.
const CUT_OFF: &[u8] = b"... [cut off]";

/// One warning in this time: it is up to clients what they take, and how often they call.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// When this process warned last.
static WARNED: Warned = Warned(Mutex::new(None));

struct Warned(Mutex<Option<Instant>>);

impl Warned {
    /// Whether it is time to warn once more, which is done then.
    fn again(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= WARNING_INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// The most bytes of the trailers that the calls of a connection are sent.
#[derive(Debug, Default)]
pub(super) struct TrailersLimit {
    /// What the last caller calls itself, and what came of it: most connections have the calls of one client, and that of a
    /// proxy those of several.
    last: Option<(Option<HeaderValue>, usize)>,
}

impl TrailersLimit {
    /// Of a call with these headers, whose peer says that it takes so much (SETTINGS_MAX_HEADER_LIST_SIZE). One that says
    /// nothing takes all (RFC 9113 section 6.5.2).
    pub(super) fn of_call(
        &mut self,
        max_header_list_size: Option<u32>,
        request: &HeaderMap,
    ) -> usize {
        let Some(said) = max_header_list_size else {
            return usize::MAX;
        };
        let agent = request.get(USER_AGENT);
        match &self.last {
            Some((last, limit)) if last.as_ref() == agent => *limit,
            _ => {
                let limit = limit(said as usize, agent);
                self.last = Some((agent.cloned(), limit));
                limit
            }
        }
    }
}

/// What a client takes for sure that has `said` so much, and calls itself `agent`.
fn limit(said: usize, agent: Option<&HeaderValue>) -> usize {
    // Others mean what they say, such as hyper and tonic, which say as much as the C core does.
    if !is_of_c_core(agent) {
        // The `h2` crate takes less than it says, and not as much.
        return said.saturating_sub(1);
    }
    match said {
        said if said > OF_C_CORE => said / 5 * 4,
        said => (said / 5 * 4).min(SURE),
    }
}

/// Whether a client is one over gRPC's C core; one that does not say what it is may be.
fn is_of_c_core(agent: Option<&HeaderValue>) -> bool {
    agent.is_none_or(|agent| {
        let mut products = agent.as_bytes().split(|byte| *byte == b' ');
        products.any(|product| product.starts_with(C_CORE))
    })
}

/// Leaves the details of a status out of its trailers where they have more than `limit` bytes, and cuts its message off.
pub(super) fn fit(trailers: &mut HeaderMap, limit: usize) {
    if limit == usize::MAX {
        return;
    }
    let size = size(trailers);
    if size <= limit {
        return;
    }
    let message = value_len(trailers, GRPC_MESSAGE.as_str());
    let without_message = size - message + message.min(WORTH_KEEPING);
    if without_message > limit
        && let Some(details) = trailers.remove(GRPC_STATUS_DETAILS)
        && WARNED.again(Instant::now())
    {
        tracing::warn!(
            target: "wireloom",
            bytes = details.len(), limit,
            "the details of a status are left out: its caller takes no trailers as large"
        );
    }
    let excess = self::size(trailers).saturating_sub(limit);
    if excess > 0
        && let Some(message) = trailers.get_mut(GRPC_MESSAGE)
    {
        let len = message.len().saturating_sub(excess);
        let kept = whole_characters(message.as_bytes(), len.saturating_sub(CUT_OFF.len()));
        let cut = [kept, CUT_OFF].concat();
        *message = HeaderValue::from_bytes(&cut).expect("a part of a value is one");
    }
}

fn size(trailers: &HeaderMap) -> usize {
    let fields = trailers.iter();
    let sizes = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD);
    STATUS_FIELD + sizes.sum::<usize>()
}

fn value_len(trailers: &HeaderMap, name: &str) -> usize {
    trailers.get(name).map_or(0, HeaderValue::len)
}

/// At most `len` bytes of a message in percent-encoding, up to the end of a character.
fn whole_characters(message: &[u8], len: usize) -> &[u8] {
    let mut end = len.min(message.len());
    let escape = message[..end].iter().rposition(|byte| *byte == b'%');
    end = escape.filter(|at| at + 3 > end).unwrap_or(end);
    // The bytes of a character but for its first are 80 to BF.
    while let [b'%', b'8' | b'9' | b'A' | b'B', ..] = message[end..] {
        match end.checked_sub(3) {
            Some(before) => end = before,
            None => break,
        }
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tonic::{Code, Status};

    use super::*;
    use crate::status;

    fn fitted(message: &str, details: usize, limit: usize) -> Status {
        let details = Bytes::from(vec![7; details]);
        let status = Status::with_details(Code::NotFound, message, details);
        let mut trailers = HeaderMap::new();
        status::write(&status, &mut trailers);
        fit(&mut trailers, limit);
        assert!(size(&trailers) <= limit);
        status::from_trailers(trailers).unwrap_err()
    }

    #[test]
    fn what_is_small_stays_as_it_is() {
        let status = fitted(&"x".repeat(1000), 5000, 8192);
        assert_eq!(status.message().len(), 1000);
        assert_eq!(status.details().len(), 5000);
    }

    #[test]
    fn a_message_is_cut_off_and_says_so() {
        let status = fitted(&"x".repeat(100_000), 100, 8192);
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().len() > 7000);
        assert!(status.message().ends_with("xx... [cut off]"));
        assert_eq!(status.details().len(), 100);
    }

    #[test]
    fn details_are_left_out_where_they_do_not_fit() {
        let status = fitted("who is it?", 10_000, 8192);
        assert_eq!(status.message(), "who is it?");
        assert!(status.details().is_empty());
        let status = fitted(&"x".repeat(100_000), 10_000, 8192);
        assert!(status.message().ends_with("xx... [cut off]"));
    }

    #[test]
    fn a_message_is_cut_off_between_characters() {
        for text in ["\u{e4}", "\u{20ac}", "\u{1f980}", "%", "%8", "a\u{20ac}b"] {
            for limit in 1000..1020 {
                let message = text.repeat(1000);
                let status = fitted(&message, 0, limit);
                let kept = status.message().strip_suffix("... [cut off]").unwrap();
                assert!(message.starts_with(kept), "{kept}");
            }
        }
    }

    #[test]
    fn what_has_no_room_for_a_message_has_the_code() {
        let mut trailers = HeaderMap::new();
        status::write(&Status::not_found("x".repeat(10_000)), &mut trailers);
        fit(&mut trailers, 10);
        assert_eq!(trailers["grpc-status"], "5");
    }

    #[test]
    fn there_is_one_warning_a_second() {
        let warned = Warned(Mutex::new(None));
        let begun = Instant::now();
        assert!(warned.again(begun));
        assert!(!warned.again(begun + WARNING_INTERVAL / 2));
        assert!(warned.again(begun + WARNING_INTERVAL));
    }

    fn request(agent: Option<&'static str>) -> HeaderMap {
        let agent = agent.map(|agent| (USER_AGENT, HeaderValue::from_static(agent)));
        HeaderMap::from_iter(agent)
    }

    #[test]
    fn a_client_is_sent_what_it_says_that_it_takes() {
        let request = request(Some("service/1.0 tonic/0.14.9"));
        let limit = |said| TrailersLimit::default().of_call(said, &request);
        assert_eq!(limit(None), usize::MAX);
        assert_eq!(limit(Some(0)), 0);
        assert_eq!(limit(Some(4096)), 4095);
        assert_eq!(limit(Some(16_384)), 16_383);
        assert_eq!(limit(Some(1 << 20)), (1 << 20) - 1);
    }

    #[test]
    fn what_may_be_the_c_core_is_sent_what_it_takes_for_sure() {
        for agent in [
            None,
            Some("grpc-c++/1.51.1 grpc-c/29.0.0 (linux; chttp2)"),
            Some("mine grpc-python/1.76.0 grpc-c/51.0.0 (linux; chttp2) too"),
        ] {
            let request = request(agent);
            let limit = |said| TrailersLimit::default().of_call(said, &request);
            assert_eq!(limit(None), usize::MAX);
            assert_eq!(limit(Some(4096)), 3276);
            assert_eq!(limit(Some(16_384)), 8192);
            assert_eq!(limit(Some(1 << 20)), 838_860);
        }
    }

    #[test]
    fn the_clients_of_one_proxy_are_each_sent_what_they_take() {
        let mut limit = TrailersLimit::default();
        let c_core = "grpc-python/1.76.0 grpc-c/51.0.0 (linux; chttp2)";
        for (agent, most) in [
            (Some("tonic/0.14.9"), 16_383),
            (Some(c_core), 8192),
            (Some(c_core), 8192),
            (Some("tonic/0.14.9"), 16_383),
            (None, 8192),
        ] {
            let limit = limit.of_call(Some(16_384), &request(agent));
            assert_eq!(limit, most, "{agent:?}");
        }
    }
}
