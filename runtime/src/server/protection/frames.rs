//! The frames that have come, by their headers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{alarm::Flood, budget::Budget, frame_guard::Allowance};
use crate::server::preface::PREFACE;

/// Length, kind, flags, stream.
pub(super) const HEADER_LEN: usize = 9;

/// What comes before the first frame.
pub(super) const PREFACE_LEN: usize = PREFACE.len();

/// Updates of windows follow what was sent: two for a frame of DATA, the smallest of which has some 16 bytes. So do resets
/// of streams that are reset already, for whatever comes late. What comes beside is in the budget.
const BYTES_PER_REACTION: u64 = 8;

/// The pings that come too early before the one that ends the connection (gRFC A8).
const PING_STRIKES: u32 = 2;

/// After so many frames other tasks get their turn: a megabyte of small ones that is read at once would hold them up.
const FRAMES_PER_TURN: u32 = 1000;

const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What of a stream's number counts: the first bit means nothing, and is to be ignored (RFC 9113 section 4.1).
const STREAM_ID: u32 = u32::MAX >> 1;

/// Kinds of frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// What answering takes: no word of the server's own.
const PONG_LEN: u64 = 17;
const SETTINGS_ACK_LEN: u64 = 9;

/// Follows what is read, in whatever pieces, and counts what is cheap to send.
///
/// The clock is looked at where a count runs out, and for pings.
#[derive(Debug)]
pub(super) struct Frames {
    /// What is to pass by until the next header.
    skip: usize,
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// The frames of this turn.
    in_turn: u32,
    written: u64,
    /// What was or will be written in answer to pings and settings.
    owed: u64,
    control: Bucket,
    reactions: Bucket,
    /// What had been written when the reactions to it had last been used up.
    written_at_refill: u64,
    /// Whether a new stream's head ends with the frame that is passing by.
    opens: bool,
    /// Whether more of a new stream's head follows in other frames.
    is_opening: bool,
    /// The streams that were opened and not reset.
    resettable: u64,
    opened: Arc<AtomicU64>,
    last_opened: u32,
    pings: Pings,
}

impl Frames {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self {
            skip: PREFACE_LEN,
            header: [0; HEADER_LEN],
            header_len: 0,
            in_turn: 0,
            written: 0,
            owed: 0,
            control: Bucket::new(allowance.control_frames),
            reactions: Bucket::new(allowance.window_updates),
            written_at_refill: 0,
            opens: false,
            is_opening: false,
            resettable: 0,
            opened: Arc::default(),
            last_opened: 0,
            pings: Pings {
                min_interval: allowance.min_ping_interval,
                last: None,
                strikes: 0,
                own_words: 0,
            },
        }
    }

    /// How many streams were opened, of which the whole head has come: before that, nobody could serve them.
    pub(super) fn opened(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.opened)
    }

    /// Whether a turn is over; the next one then begins.
    pub(super) fn is_turn_over(&mut self) -> bool {
        let is_over = self.in_turn >= FRAMES_PER_TURN;
        if is_over {
            self.in_turn = 0;
        }
        is_over
    }

    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }

    /// # Errors
    ///
    /// What there is too much of.
    pub(super) fn read(&mut self, mut data: &[u8]) -> Result<(), Flood> {
        loop {
            let passed = self.skip.min(data.len());
            self.skip -= passed;
            data = &data[passed..];
            if self.skip == 0 && self.opens {
                self.opens = false;
                self.opened.fetch_add(1, Ordering::Relaxed);
            }
            if data.is_empty() {
                return Ok(());
            }
            let taken = (HEADER_LEN - self.header_len).min(data.len());
            self.header[self.header_len..self.header_len + taken].copy_from_slice(&data[..taken]);
            self.header_len += taken;
            data = &data[taken..];
            if self.header_len < HEADER_LEN {
                return Ok(());
            }
            self.header_len = 0;
            let [len_0, len_1, len_2, kind, flags, stream @ ..] = self.header;
            self.skip = u32::from_be_bytes([0, len_0, len_1, len_2]) as usize;
            self.in_turn += 1;
            self.count(kind, flags, u32::from_be_bytes(stream) & STREAM_ID)?;
        }
    }

    fn count(&mut self, kind: u8, flags: u8, stream: u32) -> Result<(), Flood> {
        match kind {
            // `h2` has limits for these.
            DATA => Ok(()),
            CONTINUATION => {
                self.go_on_with_head(flags);
                Ok(())
            }
            HEADERS => {
                self.resettable += 1;
                // Trailers are of a stream that is there.
                self.is_opening = stream > self.last_opened;
                self.last_opened = self.last_opened.max(stream);
                self.go_on_with_head(flags);
                Ok(())
            }
            RST_STREAM if self.resettable > 0 => {
                self.resettable -= 1;
                Ok(())
            }
            RST_STREAM => self.count_reaction(Flood::LateResets),
            WINDOW_UPDATE => self.count_reaction(Flood::WindowUpdates),
            PING if flags & ACK == 0 => {
                let own_words = self.written.saturating_sub(self.owed);
                self.owed += PONG_LEN;
                self.pings.count(own_words)?;
                self.count_control()
            }
            SETTINGS => {
                self.owed += SETTINGS_ACK_LEN;
                self.count_control()
            }
            _ => self.count_control(),
        }
    }

    fn go_on_with_head(&mut self, flags: u8) {
        let is_last = flags & END_HEADERS != 0;
        self.opens = self.is_opening && is_last;
        self.is_opening &= !is_last;
    }

    fn count_control(&mut self) -> Result<(), Flood> {
        match self.control.spend() {
            true => Ok(()),
            false => Err(Flood::ControlFrames),
        }
    }

    fn count_reaction(&mut self, flood: Flood) -> Result<(), Flood> {
        if self.reactions.left == 0 {
            let written = self.written - self.written_at_refill;
            self.written_at_refill = self.written;
            let earned = written / BYTES_PER_REACTION;
            self.reactions.left = u32::try_from(earned).unwrap_or(u32::MAX);
        }
        match self.reactions.spend() {
            true => Ok(()),
            false => Err(flood),
        }
    }
}

/// So many at once, and so many each second.
#[derive(Debug)]
struct Bucket {
    left: u32,
    budget: Budget,
    refilled: Instant,
}

impl Bucket {
    fn new(budget: Budget) -> Self {
        Self {
            left: budget.burst,
            budget,
            refilled: Instant::now(),
        }
    }

    fn spend(&mut self) -> bool {
        if self.left == 0 {
            let now = Instant::now();
            let Budget { burst, per_second } = self.budget;
            let earned = now.duration_since(self.refilled).as_secs_f64() * f64::from(per_second);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float saturates"
            )]
            let earned = (earned as u32).min(burst);
            if earned == 0 {
                return false;
            }
            self.left = earned;
            self.refilled = now;
        }
        self.left -= 1;
        true
    }
}

/// The server's side of [gRFC A8].
///
/// [gRFC A8]: https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md
#[derive(Debug)]
struct Pings {
    min_interval: Duration,
    last: Option<Instant>,
    strikes: u32,
    /// What the server had said of its own accord: a ping that follows on that measures the bandwidth, and is none of
    /// keepalive's.
    own_words: u64,
}

impl Pings {
    fn count(&mut self, own_words: u64) -> Result<(), Flood> {
        let now = Instant::now();
        let last = self.last.replace(now);
        if own_words > self.own_words {
            self.own_words = own_words;
            self.strikes = 0;
            return Ok(());
        }
        if last.is_some_and(|last| now.duration_since(last) < self.min_interval) {
            self.strikes += 1;
            if self.strikes > PING_STRIKES {
                return Err(Flood::Pings);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Frames {
        Frames::new(Allowance::default())
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, len, kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let mut wire = PREFACE.to_vec();
        // More than a slow machine has time to earn meanwhile.
        for _ in 0..2 * Allowance::default().control_frames.burst {
            wire.extend(frame(2, 0, &[6; 5]));
            wire.extend(frame(DATA, 0, &[6; 20]));
        }
        for size in [1, 7, 8, 9, 10, 1000] {
            let mut frames = frames();
            let read = wire.chunks(size).try_for_each(|piece| frames.read(piece));
            assert_eq!(read, Err(Flood::ControlFrames), "{size}");
        }
    }

    #[test]
    fn budgets_are_as_they_are_set() {
        let budget = Budget {
            burst: 3,
            per_second: 0,
        };
        let allowance = Allowance {
            control_frames: budget,
            window_updates: Budget { burst: 5, ..budget },
            ..Allowance::default()
        };
        for (kind, flood, burst) in [
            (SETTINGS, Flood::ControlFrames, 3),
            (WINDOW_UPDATE, Flood::WindowUpdates, 5),
        ] {
            let mut frames = Frames::new(allowance);
            frames.read(PREFACE).unwrap();
            for _ in 0..burst {
                frames.read(&frame(kind, 0, &[0; 4])).unwrap();
            }
            assert_eq!(frames.read(&frame(kind, 0, &[0; 4])), Err(flood));
        }
    }

    #[test]
    fn a_turn_ends_after_a_thousand_frames() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        let data = frame(DATA, 0, b"message");
        frames.read(&data.repeat(999)).unwrap();
        assert!(!frames.is_turn_over());
        frames.read(&data).unwrap();
        assert!(frames.is_turn_over());
        assert!(!frames.is_turn_over());
    }

    #[test]
    fn what_carries_calls_is_not_counted() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        for _ in 0..100_000 {
            frames.read(&frame(HEADERS, 5, b"head")).unwrap();
            frames.read(&frame(DATA, 0, b"message")).unwrap();
            frames.read(&frame(RST_STREAM, 0, &[0; 4])).unwrap();
        }
    }

    #[test]
    fn a_stream_is_opened_once() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        for stream in [1, 3, 5] {
            let mut head = frame(HEADERS, 4, b"head");
            head[HEADER_LEN - 1] = stream;
            frames.read(&head).unwrap();
            // Trailers.
            frames.read(&head).unwrap();
        }
        assert_eq!(frames.opened().load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_stream_is_opened_once_its_whole_head_has_come() {
        const CONTINUED: u8 = 0;
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        let opened = frames.opened();
        let mut read = |data: &[u8], opened_then: u64| {
            frames.read(data).unwrap();
            assert_eq!(opened.load(Ordering::Relaxed), opened_then);
        };
        let head = frame(HEADERS, END_HEADERS, b"head");
        read(&head[..HEADER_LEN], 0);
        read(&head[HEADER_LEN..HEADER_LEN + 3], 0);
        read(&head[HEADER_LEN + 3..], 1);
        let mut head = frame(HEADERS, CONTINUED, b"head");
        head[HEADER_LEN - 1] = 3;
        read(&head, 1);
        read(&frame(CONTINUATION, CONTINUED, b"more"), 1);
        let last = frame(CONTINUATION, END_HEADERS, b"last");
        read(&last[..HEADER_LEN], 1);
        read(&last[HEADER_LEN..], 2);
        read(&frame(CONTINUATION, END_HEADERS, b""), 2);
    }

    #[test]
    fn a_bit_that_means_nothing_hides_no_stream() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        for (reserved, stream) in [(0x80, 1), (0, 3), (0, 5)] {
            let mut head = frame(HEADERS, 4, b"head");
            head[HEADER_LEN - 4] = reserved;
            head[HEADER_LEN - 1] = stream;
            frames.read(&head).unwrap();
        }
        assert_eq!(frames.opened().load(Ordering::Relaxed), 3);
    }

    #[test]
    fn resets_of_what_was_never_opened_are_counted() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        let reset = frame(RST_STREAM, 0, &[0; 4]);
        let read = (0..2 * Allowance::default().window_updates.burst)
            .try_for_each(|_| frames.read(&reset));
        assert_eq!(read, Err(Flood::LateResets));
    }

    #[test]
    fn a_reader_may_update_both_windows_for_each_small_frame_that_it_is_sent() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        for _ in 0..100_000 {
            frames.wrote(HEADER_LEN + 7);
            for _ in 0..2 {
                frames.read(&frame(WINDOW_UPDATE, 0, &[0; 4])).unwrap();
            }
        }
    }

    #[test]
    fn updates_for_nothing_are_too_many() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        let update = frame(WINDOW_UPDATE, 0, &[0; 4]);
        let read = (0..2 * Allowance::default().window_updates.burst)
            .try_for_each(|_| frames.read(&update));
        assert_eq!(read, Err(Flood::WindowUpdates));
    }

    #[test]
    fn the_third_ping_that_is_too_early_is_too_much() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        let ping = frame(PING, 0, &[0; 8]);
        for _ in 0..3 {
            frames.read(&ping).unwrap();
            frames.wrote(17);
        }
        assert_eq!(frames.read(&ping), Err(Flood::Pings));
    }

    #[test]
    fn pings_that_follow_what_the_server_says_are_no_strikes() {
        let mut frames = frames();
        frames.read(PREFACE).unwrap();
        for _ in 0..100 {
            frames.wrote(40);
            frames.read(&frame(PING, 0, &[0; 8])).unwrap();
            frames.wrote(17);
            frames.read(&frame(PING, ACK, &[0; 8])).unwrap();
        }
    }
}
