//! Tells of handlers that keep the thread they run on: nothing else that the runtime has for that thread goes on meanwhile.
//!
//! A thread notes what it polls in a slot of its own, and a thread apart looks at all slots every few milliseconds. So one
//! that never comes back is reported while it blocks, and one that does costs no look at a clock.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, Once, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::uri::PathAndQuery;

use crate::metrics::ServedMeter;

/// One report in this time. How many there were besides, the next one says, or one that is made for it once there is time.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How many looks there are in the time after which a poll is reported.
const LOOKS: u32 = 4;

/// No two looks are closer together.
const MIN_TICK: Duration = Duration::from_millis(1);

/// None are farther apart, so that one who wants them closer does not wait for long.
const MAX_TICK: Duration = Duration::from_secs(1);

/// A handler, as its polls are watched.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) path: PathAndQuery,
    /// A poll that takes longer is reported.
    pub(super) threshold: Duration,
    pub(super) meter: ServedMeter,
}

/// What a thread polls.
#[derive(Default)]
struct Slot {
    polls: AtomicU64,
    polled: Mutex<Polled>,
}

#[derive(Default)]
struct Polled {
    handler: Option<Watched>,
    /// Since when, once that was reported.
    blocked_since: Option<Instant>,
}

thread_local! {
    static SLOT: Arc<Slot> = WATCHDOG.new_slot();
}

/// Polls by `poll`, a part of `handler`, while the watchdog looks.
pub(super) fn watched<T>(handler: &mut Option<Watched>, poll: impl FnOnce() -> T) -> T {
    let is_watched = |handler: &Watched| handler.threshold < Duration::MAX;
    if !handler.as_ref().is_some_and(is_watched) {
        return poll();
    }
    SLOT.with(|slot| {
        let begun = slot.exchange(Polled {
            handler: handler.take(),
            blocked_since: None,
        });
        // What polls inside of a poll is the one that blocks.
        let polled = poll();
        let ended = slot.exchange(begun);
        if let (Some(handler), Some(since)) = (&ended.handler, ended.blocked_since) {
            handler.let_go(since.elapsed());
        }
        *handler = ended.handler;
        polled
    })
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Polled> {
        lock(&self.polled)
    }

    fn exchange(&self, next: Polled) -> Polled {
        let mut polled = self.lock();
        // No other thread writes it.
        self.polls.store(self.polls.load(Relaxed) + 1, Relaxed);
        std::mem::replace(&mut *polled, next)
    }
}

impl Watched {
    pub(super) fn method(&self) -> &str {
        method(&self.path)
    }

    fn let_go(&self, after: Duration) {
        tracing::info!(
            target: "wireloom",
            method = self.method(),
            blocked_ms = millis(after),
            "the handler let go of its thread"
        );
    }
}

static WATCHDOG: Watchdog = Watchdog {
    slots: Mutex::new(Vec::new()),
    ticks: Mutex::new(BTreeMap::new()),
    changed: Condvar::new(),
    started: Once::new(),
};

/// Looks at the threads of this process.
struct Watchdog {
    slots: Mutex<Vec<Weak<Slot>>>,
    /// How often there is to be a look, and how many [`Watch`]es want it so. Without any, the watchdog sleeps.
    ticks: Mutex<BTreeMap<Duration, usize>>,
    changed: Condvar,
    started: Once,
}

/// Has the watchdog look, for as long as it is kept.
pub(super) struct Watch {
    tick: Duration,
}

impl Watch {
    /// Looks often enough to report polls that take longer than `threshold`; [`Duration::MAX`] is never.
    pub(super) fn of(threshold: Duration) -> Option<Self> {
        if threshold == Duration::MAX {
            return None;
        }
        let tick = (threshold / LOOKS).clamp(MIN_TICK, MAX_TICK);
        *lock(&WATCHDOG.ticks).entry(tick).or_default() += 1;
        WATCHDOG.changed.notify_one();
        WATCHDOG.started.call_once(|| {
            let thread = std::thread::Builder::new().name("wireloom-watchdog".to_owned());
            if let Err(error) = thread.spawn(|| WATCHDOG.run()) {
                tracing::warn!(target: "wireloom", %error, "handlers that block a thread are not reported");
            }
        });
        Some(Self { tick })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut ticks = lock(&WATCHDOG.ticks);
        if let Entry::Occupied(mut watches) = ticks.entry(self.tick) {
            *watches.get_mut() -= 1;
            if *watches.get() == 0 {
                watches.remove();
            }
        }
    }
}

impl Watchdog {
    fn new_slot(&self) -> Arc<Slot> {
        let slot = Arc::default();
        lock(&self.slots).push(Arc::downgrade(&slot));
        slot
    }

    fn run(&self) {
        let mut seen = Vec::new();
        let mut reports = Reports::default();
        loop {
            std::thread::sleep(self.next_tick(&reports));
            let now = Instant::now();
            self.meet(&mut seen, now);
            for thread in &mut seen {
                thread.look(now, &mut reports);
            }
            if let Some(suppressed) = reports.overdue(now) {
                suppressed.report();
            }
        }
    }

    /// How long it is until the next look; waits until there is to be one.
    fn next_tick(&self, reports: &Reports) -> Duration {
        let mut ticks = lock(&self.ticks);
        loop {
            match ticks.keys().next() {
                Some(tick) => return *tick,
                None if reports.suppressed.is_some() => return REPORT_INTERVAL,
                None => {
                    let changed = self.changed.wait(ticks);
                    ticks = changed.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Notes which threads there are.
    fn meet(&self, seen: &mut Vec<Seen>, now: Instant) {
        let mut slots = lock(&self.slots);
        slots.retain(|slot| slot.strong_count() > 0);
        seen.retain(|thread| thread.slot.strong_count() > 0);
        for slot in slots.iter() {
            if !seen.iter().any(|thread| thread.slot.ptr_eq(slot)) {
                seen.push(Seen {
                    slot: Weak::clone(slot),
                    polls: 0,
                    since: now,
                    stage: Stage::Well,
                });
            }
        }
    }
}

/// A thread, as the watchdog last saw it.
struct Seen {
    slot: Weak<Slot>,
    polls: u64,
    /// Since when it has not begun or ended a poll.
    since: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Well,
    /// It is blocked by this handler, and counted; others were reported just before.
    Counted(PathAndQuery),
    Reported,
}

impl Seen {
    fn look(&mut self, now: Instant, reports: &mut Reports) {
        let Some(slot) = self.slot.upgrade() else {
            return;
        };
        let polls = slot.polls.load(Relaxed);
        if polls != self.polls {
            let stage = std::mem::replace(&mut self.stage, Stage::Well);
            if let Stage::Counted(path) = stage {
                reports.suppress(path);
            }
            (self.polls, self.since) = (polls, now);
            return;
        }
        if matches!(self.stage, Stage::Reported) {
            return;
        }
        let mut polled = slot.lock();
        let Some(handler) = &polled.handler else {
            return;
        };
        let blocked = now - self.since;
        // It may be another one by now.
        if slot.polls.load(Relaxed) != polls || blocked < handler.threshold {
            return;
        }
        if matches!(self.stage, Stage::Well) {
            handler.meter.blocked();
            self.stage = Stage::Counted(handler.path.clone());
        }
        if reports.are_due(now) {
            let path = handler.path.clone();
            polled.blocked_since = Some(self.since);
            drop(polled);
            self.stage = Stage::Reported;
            reports.report(&path, blocked, now);
        }
    }
}

/// Reports, of which there are not too many.
#[derive(Default)]
struct Reports {
    last: Option<Instant>,
    /// Those that were not made since.
    suppressed: Option<Suppressed>,
}

#[derive(Debug, PartialEq, Eq)]
struct Suppressed {
    /// Of the last one.
    path: PathAndQuery,
    count: u64,
}

impl Reports {
    fn are_due(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now - last >= REPORT_INTERVAL)
    }

    fn suppress(&mut self, path: PathAndQuery) {
        let before = self.suppressed.take();
        let count = before.map_or(0, |before| before.count) + 1;
        self.suppressed = Some(Suppressed { path, count });
    }

    /// Those that no other report has told of meanwhile.
    fn overdue(&mut self, now: Instant) -> Option<Suppressed> {
        if !self.are_due(now) {
            return None;
        }
        let overdue = self.suppressed.take()?;
        self.last = Some(now);
        Some(overdue)
    }

    fn report(&mut self, path: &PathAndQuery, blocked: Duration, now: Instant) {
        self.last = Some(now);
        let suppressed = self.suppressed.take();
        tracing::warn!(
            target: "wireloom",
            method = method(path),
            blocked_ms = millis(blocked),
            suppressed = suppressed.map_or(0, |suppressed| suppressed.count),
            "a handler blocks the thread that it runs on"
        );
    }
}

impl Suppressed {
    fn report(&self) {
        tracing::warn!(
            target: "wireloom",
            method = method(&self.path),
            suppressed = self.count,
            "handlers blocked their threads within a second of another report, this one last"
        );
    }
}

fn method(path: &PathAndQuery) -> &str {
    path.path().trim_start_matches('/')
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: Duration = Duration::from_millis(100);

    /// A thread that a handler blocks.
    fn blocked(path: &'static str) -> Arc<Slot> {
        let slot = Arc::<Slot>::default();
        let handler = Watched {
            path: PathAndQuery::from_static(path),
            threshold: THRESHOLD,
            meter: crate::metrics::ServerSource::default().call(path),
        };
        slot.exchange(Polled {
            handler: Some(handler),
            blocked_since: None,
        });
        slot
    }

    fn seen(slot: &Arc<Slot>, now: Instant) -> Seen {
        Seen {
            slot: Arc::downgrade(slot),
            polls: slot.polls.load(Relaxed),
            since: now,
            stage: Stage::Well,
        }
    }

    #[test]
    fn a_block_that_ends_within_a_second_of_a_report_is_told_of_after_that_second() {
        let begun = Instant::now();
        let threads = [blocked("/a.A/First"), blocked("/a.A/Second")];
        let mut seen = threads.each_ref().map(|slot| seen(slot, begun));
        let mut reports = Reports::default();
        let reported = begun + THRESHOLD;
        seen.iter_mut()
            .for_each(|thread| thread.look(reported, &mut reports));
        assert!(threads[0].lock().blocked_since.is_some());
        assert!(threads[1].lock().blocked_since.is_none(), "it is too soon");
        threads[1].exchange(Polled::default());
        seen[1].look(reported + THRESHOLD, &mut reports);
        assert_eq!(reports.overdue(reported + THRESHOLD), None);
        let told = Suppressed {
            path: PathAndQuery::from_static("/a.A/Second"),
            count: 1,
        };
        assert_eq!(reports.overdue(reported + REPORT_INTERVAL), Some(told));
        assert_eq!(reports.overdue(reported + REPORT_INTERVAL * 3), None);
    }

    #[test]
    fn a_report_says_how_many_were_not_made_before_it() {
        let now = Instant::now();
        let path = PathAndQuery::from_static("/a.A/First");
        let mut reports = Reports::default();
        reports.report(&path, THRESHOLD, now);
        reports.suppress(path.clone());
        reports.suppress(path.clone());
        let count = reports
            .suppressed
            .as_ref()
            .map(|suppressed| suppressed.count);
        assert_eq!(count, Some(2));
        reports.report(&path, THRESHOLD, now + REPORT_INTERVAL);
        assert_eq!(reports.overdue(now + REPORT_INTERVAL * 3), None);
    }
}
