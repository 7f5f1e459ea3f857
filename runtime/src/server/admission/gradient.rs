//! A limit that follows measured latency. Arithmetic only: its samples come from the gate that it governs.

use std::time::Duration;

use tokio::time::Instant;

use super::limits::AdaptiveLimit;

/// What a window holds before it is judged.
const WINDOW: Duration = Duration::from_millis(100);
const WINDOW_CALLS: u32 = 10;

/// What a window that is older than this began with is no longer news.
const STALE: Duration = Duration::from_secs(10);

/// How long the limit is reached before the usual latency is measured again, at first and at most; and how many times the
/// usual latency that is at least, since measuring takes a few of them.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LAST_PROBE: Duration = Duration::from_secs(30);
const PROBE_EVERY: f64 = 100.0;

/// What is left of the limit meanwhile, and how many times the usual latency (and a window) it may take.
const PROBE_SHARE: f64 = 0.25;
const PROBE_TIME: f64 = 4.0;

/// A usual latency that a probe changes by no more than this share was right.
const PROBE_AGREES: f64 = 0.2;

/// How far the usual latency follows a window that was faster, and in what time it follows those that were slower at ease. The
/// second is slow: what seems to be at ease may be a load that comes near to what can be served.
const FALL: f64 = 0.3;
const RISE_TIME: Duration = Duration::from_secs(10);

/// The share of calls that were given up from which a window was not at ease, whatever its latency: that is what their callers
/// would wait for then, and not what the server would take.
const MANY_GIVEN_UP: f64 = 0.1;

/// One call that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) began: Instant,
    pub(super) latency: Duration,
    /// The calls under way when it ended, itself among them.
    pub(super) in_flight: usize,
    /// It ended by its deadline, or its caller cancelled it.
    pub(super) given_up: bool,
}

/// The limit, and what it is based on.
#[derive(Debug)]
pub(super) struct Gradient {
    bounds: AdaptiveLimit,
    limit: f64,
    /// In seconds; known once a window has been judged.
    usual: Option<f64>,
    window: Window,
    /// How many calls were under way on average in the window before.
    before: f64,
    probing: Probing,
    probe_after: Duration,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    calls: u32,
    /// Of the logarithms of latencies in seconds: their mean is the geometric one, which one slow call does not move far.
    sum: f64,
    most_in_flight: usize,
    /// Over all calls, how many were under way when each ended.
    in_flight: f64,
    given_up: u32,
}

/// What a window comes to.
#[derive(Clone, Copy, Debug)]
struct Judged {
    time: Duration,
    /// In seconds.
    latency: f64,
    most_in_flight: usize,
    /// On average.
    in_flight: f64,
    /// Of all calls.
    share_given_up: f64,
}

#[derive(Debug)]
enum Probing {
    /// Not for now; the limit has been reached since then, if it is.
    Not(Option<Instant>),
    /// The limit is lowered, until calls from before have ended.
    Draining(Probe),
    /// Calls that began since then are measured.
    Measuring(Probe, Instant),
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    /// The limit to go back to.
    limit: f64,
    /// When it is given up.
    until: Instant,
}

impl Window {
    fn from(since: Instant) -> Self {
        Self {
            since,
            calls: 0,
            sum: 0.0,
            most_in_flight: 0,
            in_flight: 0.0,
            given_up: 0,
        }
    }

    fn add(&mut self, sample: Sample) {
        self.calls += 1;
        self.sum += sample.latency.as_secs_f64().max(1e-9).ln();
        self.most_in_flight = self.most_in_flight.max(sample.in_flight);
        self.in_flight += sample.in_flight as f64;
        self.given_up += u32::from(sample.given_up);
    }

    /// What it comes to, once it is long enough.
    fn judge(&self, now: Instant) -> Option<Judged> {
        let time = now - self.since;
        let latency = self.latency().filter(|_| time >= WINDOW)?;
        let of_all = |sum: f64| sum / f64::from(self.calls);
        Some(Judged {
            time,
            latency,
            most_in_flight: self.most_in_flight,
            in_flight: of_all(self.in_flight),
            share_given_up: of_all(self.given_up.into()),
        })
    }

    /// The latency, once there are enough calls.
    fn latency(&self) -> Option<f64> {
        (self.calls >= WINDOW_CALLS).then(|| (self.sum / f64::from(self.calls)).exp())
    }
}

impl Gradient {
    pub(super) fn new(bounds: AdaptiveLimit) -> Self {
        Self {
            bounds,
            limit: bounds.initial as f64,
            usual: None,
            window: Window::from(Instant::now()),
            before: 0.0,
            probing: Probing::Not(None),
            probe_after: FIRST_PROBE,
        }
    }

    /// The most calls that may be under way.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// How long calls take at ease.
    pub(super) fn usual(&self) -> Option<Duration> {
        self.usual.map(Duration::from_secs_f64)
    }

    /// Takes a call that has ended into account.
    pub(super) fn sample(&mut self, sample: Sample) {
        let now = Instant::now();
        match self.probing {
            Probing::Not(_) => self.watch(sample, now),
            Probing::Draining(probe) | Probing::Measuring(probe, _) if now >= probe.until => {
                self.end_probe(probe, None, now);
            }
            Probing::Draining(probe) => {
                // The one that ended is still counted.
                if sample.in_flight <= self.limit() + 1 {
                    self.probing = Probing::Measuring(probe, now);
                    self.window = Window::from(now);
                }
            }
            Probing::Measuring(probe, since) => {
                if sample.began >= since {
                    self.window.add(sample);
                }
                if let Some(latency) = self.window.latency() {
                    self.end_probe(probe, Some(latency), now);
                }
            }
        }
    }

    fn watch(&mut self, sample: Sample, now: Instant) {
        if now - self.window.since > STALE {
            self.window = Window::from(now);
        }
        self.window.add(sample);
        let Some(window) = self.window.judge(now) else {
            return;
        };
        self.window = Window::from(now);
        let usual = self.usual.unwrap_or(window.latency);
        self.usual = Some(self.follow(usual, &window));
        self.before = window.in_flight;
        self.adjust(usual, &window);
        self.consider_probe(&window, now);
    }

    /// The usual latency after a window.
    fn follow(&self, usual: f64, window: &Judged) -> f64 {
        let difference = window.latency - usual;
        if difference < 0.0 {
            return usual + difference * FALL;
        }
        // Slower, with room to spare, no more calls under way than before, and in time for its callers: that is how calls are
        // now, and no queue.
        let at_ease = !self.is_in_use(window)
            && window.in_flight <= self.before
            && window.share_given_up < MANY_GIVEN_UP;
        match at_ease {
            true => {
                usual + difference * (window.time.as_secs_f64() / RISE_TIME.as_secs_f64()).min(1.0)
            }
            false => usual,
        }
    }

    fn is_in_use(&self, window: &Judged) -> bool {
        window.most_in_flight * 2 >= self.limit()
    }

    fn adjust(&mut self, usual: f64, window: &Judged) {
        let gradient = (self.bounds.tolerance * usual / window.latency).clamp(0.5, 1.0);
        if gradient == 1.0 {
            if self.is_in_use(window) {
                self.set_limit(self.limit + self.limit.sqrt());
            }
            return;
        }
        // What is above the calls under way has no part in their latency.
        let limit = self.limit.min(window.most_in_flight as f64);
        self.set_limit(limit * gradient + limit.sqrt());
    }

    fn set_limit(&mut self, limit: f64) {
        self.limit = limit.clamp(self.bounds.min as f64, self.bounds.max as f64);
    }

    fn consider_probe(&mut self, window: &Judged, now: Instant) {
        let is_due =
            window.most_in_flight >= self.limit() || window.share_given_up >= MANY_GIVEN_UP;
        let since = match self.probing {
            Probing::Not(Some(since)) if is_due => since,
            _ => {
                self.probing = Probing::Not(is_due.then_some(now));
                return;
            }
        };
        let usual = self.usual.unwrap_or_default();
        let seconds = self.probe_after.as_secs_f64().max(usual * PROBE_EVERY);
        if (now - since).as_secs_f64() < seconds {
            return;
        }
        let time = WINDOW + Duration::from_secs_f64(usual * PROBE_TIME);
        self.probing = Probing::Draining(Probe {
            limit: self.limit,
            until: now + time,
        });
        self.set_limit(self.limit * PROBE_SHARE);
    }

    /// Goes back to the limit from before, with the usual latency that was found, if it was.
    fn end_probe(&mut self, probe: Probe, found: Option<f64>, now: Instant) {
        self.set_limit(probe.limit);
        self.window = Window::from(now);
        self.probing = Probing::Not(Some(now));
        let agrees = found
            .zip(self.usual)
            .is_none_or(|(found, usual)| (found - usual).abs() <= usual * PROBE_AGREES);
        self.probe_after = match agrees {
            true => (self.probe_after * 2).min(LAST_PROBE),
            false => FIRST_PROBE,
        };
        self.usual = found.or(self.usual);
    }
}
