//! What is recorded of one call and of one attempt, at its end.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::KeyValue;
use tokio::time::Instant;
use tonic::Code;

use super::{FurtherAttempts, Meter, Metered, Metrics, Naming};
use crate::{attempt_number::AttemptNumber, frame::FrameScanner, status::code_name};

/// Where the meters of a channel's calls come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source(Option<Metrics>);

impl Source {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self(Some(metrics))
    }

    pub(crate) fn call(&self, call: Metered<'_>, target: &dyn fmt::Display) -> CallMeter {
        CallMeter(self.0.as_ref().map(|metrics| {
            let named = call.naming == Naming::Registered || metrics.allows(call.method);
            let method = if named { call.method } else { "other" };
            Arc::new(Call {
                metrics: metrics.clone(),
                method: KeyValue::new("grpc.method", method.to_owned()),
                target: KeyValue::new("grpc.target", target.to_string()),
                started: Instant::now(),
                attempts: Mutex::default(),
            })
        }))
    }
}

/// Meters one call.
#[derive(Debug)]
pub(crate) struct CallMeter(Option<Arc<Call>>);

#[derive(Debug)]
struct Call {
    metrics: Metrics,
    method: KeyValue,
    target: KeyValue,
    started: Instant,
    attempts: Mutex<Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    retries: u64,
    hedges: u64,
    transparent: u64,
    active: u32,
    /// When the last one ended, and how, where none is active.
    idle_since: Option<(Instant, Code)>,
    delay: Duration,
}

impl Attempts {
    /// What passed without an active attempt, to the end of the call.
    fn delay_of(&self, call: Code) -> Duration {
        // This side ended it, and not its last attempt with it: it waited for the next one.
        let ended_waiting =
            |last: Code| matches!(call, Code::DeadlineExceeded | Code::Cancelled) && last != call;
        let waited = self.idle_since.filter(|(_, last)| ended_waiting(*last));
        self.delay + waited.map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }
}

impl CallMeter {
    /// Begins to meter an attempt of a call whose `further` ones are such.
    pub(crate) fn attempt(&self, number: AttemptNumber, further: FurtherAttempts) -> AttemptMeter {
        AttemptMeter(self.0.as_ref().map(|call| {
            call.begin_attempt(number, further);
            Arc::new(Attempt {
                call: Arc::clone(call),
                started: Instant::now(),
                sent: AtomicU64::new(0),
                received: AtomicU64::new(0),
            })
        }))
    }
}

impl Meter for CallMeter {
    fn finish(&mut self, code: Code) {
        if let Some(call) = &self.0 {
            call.finish(code);
        }
    }
}

impl Call {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_attempt(&self, number: AttemptNumber, further: FurtherAttempts) {
        let of = [self.method.clone(), self.target.clone()];
        self.metrics.instruments.attempt_started.add(1, &of);
        let mut attempts = self.attempts();
        attempts.active += 1;
        if let Some((since, _)) = attempts.idle_since.take() {
            attempts.delay += since.elapsed();
        }
        match further {
            _ if number.transparent => attempts.transparent += 1,
            _ if number.previous_attempts == 0 => {}
            FurtherAttempts::Retries => attempts.retries += 1,
            FurtherAttempts::Hedges => attempts.hedges += 1,
        }
    }

    fn end_attempt(&self, code: Code) {
        let mut attempts = self.attempts();
        attempts.active -= 1;
        if attempts.active == 0 {
            attempts.idle_since = Some((Instant::now(), code));
        }
    }

    fn finish(&self, code: Code) {
        let instruments = &self.metrics.instruments;
        let duration = self.started.elapsed().as_secs_f64();
        instruments
            .call_duration
            .record(duration, &self.with_status(code));
        let attempts = self.attempts();
        let of = [self.method.clone(), self.target.clone()];
        // Zero is not recorded (A96).
        for (instrument, count) in [
            (&instruments.retries, attempts.retries),
            (&instruments.hedges, attempts.hedges),
            (&instruments.transparent_retries, attempts.transparent),
        ] {
            if count > 0 {
                instrument.record(count, &of);
            }
        }
        let delay = attempts.delay_of(code);
        if !delay.is_zero() {
            instruments.retry_delay.record(delay.as_secs_f64(), &of);
        }
    }

    fn with_status(&self, code: Code) -> [KeyValue; 3] {
        let status = KeyValue::new("grpc.status", code_name(code));
        [self.method.clone(), self.target.clone(), status]
    }
}

/// Meters one attempt.
#[derive(Debug)]
pub(crate) struct AttemptMeter(Option<Arc<Attempt>>);

#[derive(Debug)]
struct Attempt {
    call: Arc<Call>,
    started: Instant,
    sent: AtomicU64,
    received: AtomicU64,
}

impl AttemptMeter {
    /// Whether it needs to be told of messages.
    pub(crate) fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// What meters the messages that the attempt sends.
    pub(crate) fn sending(&self) -> SendMeter {
        SendMeter {
            attempt: self.0.clone(),
            scanner: FrameScanner::default(),
        }
    }

    pub(crate) fn message_received(&self, size: usize) {
        if let Some(attempt) = &self.0 {
            attempt.received.fetch_add(size as u64, Ordering::Relaxed);
        }
    }
}

impl Meter for AttemptMeter {
    fn finish(&mut self, code: Code) {
        if let Some(attempt) = &self.0 {
            attempt.finish(code);
        }
    }
}

/// Meters the messages that one attempt sends, for as long as it does.
#[derive(Debug)]
pub(crate) struct SendMeter {
    attempt: Option<Arc<Attempt>>,
    scanner: FrameScanner,
}

impl SendMeter {
    pub(crate) fn data_sent(&mut self, data: &[u8]) {
        if let Some(attempt) = &self.attempt {
            self.scanner.scan(data, |size| {
                attempt.sent.fetch_add(size as u64, Ordering::Relaxed);
            });
        }
    }
}

impl Attempt {
    fn finish(&self, code: Code) {
        self.call.end_attempt(code);
        let instruments = &self.call.metrics.instruments;
        let of = self.call.with_status(code);
        let duration = self.started.elapsed().as_secs_f64();
        instruments.attempt_duration.record(duration, &of);
        instruments
            .attempt_sent
            .record(self.sent.load(Ordering::Relaxed), &of);
        instruments
            .attempt_received
            .record(self.received.load(Ordering::Relaxed), &of);
    }
}
