//! The W3C trace context that crosses hops, and the spans that say what a call did.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Which trace a call belongs to, and which span of it is the parent: [W3C Trace Context] level 1.
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context/
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    flags: u8,
    state: Option<HeaderValue>,
}

/// The 16 bytes that all spans of a trace share; shown as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// The 8 bytes that name a span; shown as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl SpanId {
    fn random() -> Self {
        Self(fastrand::u64(1..))
    }
}

impl TraceContext {
    const SAMPLED: u8 = 1;

    /// Starts a trace, at its root span.
    pub(crate) fn root() -> Self {
        Self {
            trace_id: TraceId(fastrand::u128(1..)),
            span_id: SpanId::random(),
            flags: 0,
            state: None,
        }
    }

    /// A span below this one, in the same trace.
    pub(crate) fn child(&self) -> Self {
        Self {
            span_id: SpanId::random(),
            ..self.clone()
        }
    }

    /// The trace's id.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The id of the current span.
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Whether the caller may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// Says whether this side records: a span that a subscriber takes marks the trace as sampled.
    pub(crate) fn recorded_by(mut self, span: &tracing::Span) -> Self {
        if !span.is_disabled() {
            self.flags |= Self::SAMPLED;
        }
        self
    }

    /// Reads the context from request headers; `None` where there is none, or it is malformed (a new trace starts).
    pub(crate) fn extract(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next()?;
        if parents.next().is_some() {
            return None;
        }
        let (trace_id, span_id, flags) = parse_traceparent(parent.as_bytes())?;
        Some(Self {
            trace_id,
            span_id,
            flags,
            state: read_tracestate(headers),
        })
    }

    /// Writes the context to request headers.
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.traceparent());
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }

    fn traceparent(&self) -> HeaderValue {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut value[3..35], self.trace_id.0);
        write_hex(&mut value[36..52], self.span_id.0.into());
        write_hex(&mut value[53..], self.flags.into());
        let value = HeaderValue::from_bytes(&value);
        let mut value = value.expect("hex digits and dashes are a header value");
        // No other call has the same: HTTP/2's table of headers is for those that come again.
        value.set_sensitive(true);
        value
    }
}

/// Fills `digits` with the lowest digits of `value`.
fn write_hex(digits: &mut [u8], mut value: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
    }
}

/// `version "-" trace-id "-" parent-id "-" trace-flags`, all lower-case hex; versions above 00 may go on after a dash.
fn parse_traceparent(value: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let value = std::str::from_utf8(value).ok()?;
    let mut fields = value.split('-');
    let (version, trace_id, span_id, flags) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    let version = u8::try_from(parse_hex(version, 2)?).ok()?;
    if version == 0xff || (version == 0 && fields.next().is_some()) {
        return None;
    }
    let trace_id = parse_hex(trace_id, 32).filter(|id| *id != 0)?;
    let span_id = u64::try_from(parse_hex(span_id, 16)?)
        .ok()
        .filter(|id| *id != 0)?;
    let flags = u8::try_from(parse_hex(flags, 2)?).ok()?;
    Some((
        TraceId(trace_id),
        SpanId(span_id),
        flags & TraceContext::SAMPLED,
    ))
}

/// The list of `tracestate`, which may be split over several headers.
fn read_tracestate(headers: &HeaderMap) -> Option<HeaderValue> {
    let states: Vec<_> = headers.get_all(TRACESTATE).iter().collect();
    match states.as_slice() {
        [] => None,
        [state] => Some((*state).clone()),
        states => {
            let states: Vec<_> = states.iter().map(|state| state.as_bytes()).collect();
            HeaderValue::try_from(states.join(&b',')).ok()
        }
    }
}

fn parse_hex(digits: &str, len: usize) -> Option<u128> {
    let lower_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    (digits.len() == len && digits.bytes().all(lower_hex))
        .then(|| u128::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_valid_traceparent_is_read_and_written_unchanged() {
        let context = TraceContext::extract(&headers(VALID)).unwrap();
        assert!(context.is_sampled());
        let mut out = HeaderMap::new();
        context.inject(&mut out);
        assert_eq!(out["traceparent"], VALID);
    }

    #[test]
    fn a_child_keeps_the_trace_and_its_state() {
        let mut incoming = headers(VALID);
        incoming.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        let parent = TraceContext::extract(&incoming).unwrap();
        let mut out = HeaderMap::new();
        parent.child().inject(&mut out);
        assert_eq!(out["tracestate"], "vendor=1");
        let child = TraceContext::extract(&out).unwrap();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
    }

    #[test]
    fn a_state_in_several_headers_is_one_list() {
        let mut incoming = headers(VALID);
        for state in ["vendor=1", "other=2,third=3"] {
            incoming.append(TRACESTATE, HeaderValue::from_static(state));
        }
        let mut out = HeaderMap::new();
        TraceContext::extract(&incoming).unwrap().inject(&mut out);
        let states: Vec<_> = out.get_all(TRACESTATE).iter().collect();
        assert_eq!(states, ["vendor=1,other=2,third=3"]);
    }

    #[test]
    fn a_malformed_traceparent_is_ignored() {
        let malformed = [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ];
        for value in malformed {
            assert_eq!(TraceContext::extract(&headers(value)), None, "{value}");
        }
    }

    #[test]
    fn a_later_version_may_go_on() {
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what.the.future";
        assert!(TraceContext::extract(&headers(later)).is_some());
    }
}
