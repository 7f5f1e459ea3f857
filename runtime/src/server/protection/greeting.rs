use std::{
    future::Future as _,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::unconstrained, time::Sleep};

use super::frames::{HEADER_LEN, PREFACE_LEN};

/// What is longer ends the connection (RFC 9113 section 4.2).
const MAX_FRAME_SIZE: usize = 16 << 10;

/// What a peer says first (RFC 9113 section 3.4): the preface, and its SETTINGS behind that. `h2` waits for those as long as the
/// connection is there.
#[derive(Debug)]
pub(super) struct Greeting {
    read: Vec<u8>,
    late: Pin<Box<Sleep>>,
}

impl Greeting {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            read: Vec::new(),
            late: Box::pin(tokio::time::sleep(timeout)),
        }
    }

    /// Ready once it takes too long.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Though reading has used up the task's turn: it may do so each time.
        pin!(unconstrained(self.late.as_mut())).poll(cx)
    }

    /// Takes what comes in; whether all of the greeting has.
    pub(super) fn read(&mut self, data: &[u8]) -> bool {
        self.read.extend_from_slice(data);
        let Some(frame) = self.read.get(PREFACE_LEN..) else {
            return false;
        };
        let Some(&[len_0, len_1, len_2, ..]) = frame.first_chunk::<HEADER_LEN>() else {
            return false;
        };
        let len = u32::from_be_bytes([0, len_0, len_1, len_2]) as usize;
        len > MAX_FRAME_SIZE || frame.len() >= HEADER_LEN + len
    }
}
