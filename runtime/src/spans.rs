//! The spans of a call: one for the call, one for each attempt, one on the server; metrics are recorded at their ends.
//!
//! Fields follow [OpenTelemetry's conventions for RPC spans] and [gRFC A72]; `otel.name` and `otel.kind` are what
//! tracing-opentelemetry reads. Ids are those of the `traceparent` on the wire.
//!
//! [OpenTelemetry's conventions for RPC spans]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
//! [gRFC A72]: https://github.com/grpc/proposal/blob/master/A72-open-telemetry-tracing.md

use std::{fmt, sync::OnceLock};

use tonic::Code;
use tracing::{Span, field};

use crate::{
    attempt_number::AttemptNumber,
    channel::Outcome,
    deadline::Deadline,
    metrics::{self, AttemptMeter, CallMeter, FurtherAttempts, Meter, Metered, ServedMeter},
    server::RefusalReason,
    status::code_name,
    trace::TraceContext,
};

/// The span of a call, on the client.
#[derive(Debug)]
pub(crate) struct CallSpan {
    open: Open<CallMeter>,
    trace: TraceContext,
}

impl CallSpan {
    /// Opens the span of a call to `method`, below `parent` where the caller is serving a call itself.
    pub(crate) fn open(
        call: Metered<'_>,
        meters: &metrics::Source,
        server: &dyn fmt::Display,
        parent: Option<&TraceContext>,
    ) -> Self {
        let method = call.method;
        let trace = parent.map_or_else(TraceContext::root, TraceContext::child);
        let span = tracing::info_span!(
            target: "wireloom",
            "call",
            otel.name = method,
            otel.kind = "client",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.response.status_code = field::Empty,
            server.address = %server,
            "error.type" = field::Empty,
            trace_id = %trace.trace_id(),
            span_id = %trace.span_id(),
            parent_span_id = parent.map(|parent| field::display(parent.span_id())),
        );
        let trace = trace.recorded_by(&span);
        Self {
            open: Open::new(span, meters.call(call, server), None),
            trace,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.open.span
    }

    /// Says when the call ends at the latest.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Deadline>) {
        self.open.deadline = deadline;
    }

    /// Opens the span of one attempt, of a call whose `further` ones are such.
    pub(crate) fn attempt(&self, number: AttemptNumber, further: FurtherAttempts) -> AttemptSpan {
        let trace = self.trace.child();
        let span = tracing::info_span!(
            target: "wireloom",
            parent: &self.open.span,
            "attempt",
            otel.kind = "internal",
            otel.status_code = field::Empty,
            rpc.response.status_code = field::Empty,
            "error.type" = field::Empty,
            "previous-rpc-attempts" = number.previous_attempts,
            "transparent-retry" = number.transparent,
            trace_id = %trace.trace_id(),
            span_id = %trace.span_id(),
        );
        let watchers = Watchers {
            meter: self.open.meter.attempt(number, further),
            outcome: OnceLock::new(),
        };
        AttemptSpan {
            open: Open::new(span, watchers, self.open.deadline),
            trace,
        }
    }

    pub(crate) fn finish(mut self, code: Code) {
        self.open.finish(code, code != Code::Ok);
    }
}

/// The span of one attempt; its id is the parent of the server's span.
#[derive(Debug)]
pub(crate) struct AttemptSpan {
    open: Open<Watchers>,
    trace: TraceContext,
}

/// Who is told how an attempt ends.
#[derive(Debug)]
struct Watchers {
    meter: AttemptMeter,
    /// Set once the attempt has a connection, where somebody wants to know.
    outcome: OnceLock<Outcome>,
}

impl Meter for Watchers {
    fn finish(&mut self, code: Code) {
        self.meter.finish(code);
        if let Some(outcome) = self.outcome.take() {
            outcome.ended(code);
        }
    }
}

impl AttemptSpan {
    pub(crate) fn span(&self) -> &Span {
        &self.open.span
    }

    pub(crate) fn trace(&self) -> &TraceContext {
        &self.trace
    }

    pub(crate) fn meter(&self) -> &AttemptMeter {
        &self.open.meter.meter
    }

    /// Tells `outcome` how the attempt ends.
    pub(crate) fn tell(&self, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            let set = self.open.meter.outcome.set(outcome);
            debug_assert!(set.is_ok(), "an attempt has one connection");
        }
    }

    /// Lets nobody count how the attempt ends.
    pub(crate) fn tell_nothing(&mut self) {
        self.open.meter.outcome.take();
    }

    pub(crate) fn finish(mut self, code: Code) {
        self.open.finish(code, code != Code::Ok);
    }
}

/// The span of a call, on the server.
#[derive(Debug)]
pub(crate) struct ServerSpan {
    open: Open<ServedMeter>,
    trace: TraceContext,
}

impl ServerSpan {
    /// Opens the span of a call to `method`, below the caller's where its `traceparent` came along.
    pub(crate) fn open(method: &str, caller: Option<&TraceContext>, meter: ServedMeter) -> Self {
        let trace = caller.map_or_else(TraceContext::root, TraceContext::child);
        let span = tracing::info_span!(
            target: "wireloom",
            "serve",
            otel.name = method,
            otel.kind = "server",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.response.status_code = field::Empty,
            "error.type" = field::Empty,
            refused = field::Empty,
            trace_id = %trace.trace_id(),
            span_id = %trace.span_id(),
            parent_span_id = caller.map(|caller| field::display(caller.span_id())),
        );
        let trace = trace.recorded_by(&span);
        Self {
            open: Open::new(span, meter, None),
            trace,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.open.span
    }

    pub(crate) fn trace(&self) -> &TraceContext {
        &self.trace
    }

    /// Says why the call is not admitted. Each such call passes here, before its end.
    pub(crate) fn refused(&self, reason: RefusalReason) {
        self.open.span.record("refused", reason.name());
    }

    pub(crate) fn meter(&self) -> &ServedMeter {
        &self.open.meter
    }

    pub(crate) fn finish(mut self, code: Code) {
        self.open.finish(code, is_server_error(code));
    }
}

/// The codes that are the server's fault, by OpenTelemetry's conventions; others are the caller's.
pub(crate) fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// A span and its meter, until both record, once, the code that they end with.
///
/// What is dropped before was ended from this side: by its deadline, or because nobody wanted it any more.
#[derive(Debug)]
struct Open<M: Meter> {
    span: Span,
    meter: M,
    deadline: Option<Deadline>,
    finished: bool,
}

impl<M: Meter> Open<M> {
    fn new(span: Span, meter: M, deadline: Option<Deadline>) -> Self {
        Self {
            span,
            meter,
            deadline,
            finished: false,
        }
    }

    fn finish(&mut self, code: Code, failed: bool) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.meter.finish(code);
        self.span
            .record("rpc.response.status_code", code_name(code));
        if failed {
            self.span.record("otel.status_code", "ERROR");
            self.span.record("error.type", code_name(code));
        }
    }
}

impl<M: Meter> Drop for Open<M> {
    fn drop(&mut self) {
        if self.deadline.is_some_and(Deadline::is_expired) {
            self.finish(Code::DeadlineExceeded, true);
        } else {
            self.finish(Code::Cancelled, false);
        }
    }
}
