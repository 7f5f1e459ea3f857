use std::{
    future::Future as _,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::unconstrained, time::Sleep};

use super::frames::{HEADER_LEN, PREFACE_LEN};

/// What is longer is not looked at: SETTINGS have some tens of bytes.
const MAX_LEN: usize = 1 << 10;

/// The kind of SETTINGS, and of what it says.
const SETTINGS: u8 = 4;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// What the peer of a connection says of itself at first. Clients of gRPC do not change it.
#[derive(Debug, Default)]
pub(in crate::server) struct PeerSettings {
    max_header_list_size: OnceLock<u32>,
}

impl PeerSettings {
    /// How much of header fields it takes, where it says so.
    pub(in crate::server) fn max_header_list_size(&self) -> Option<u32> {
        self.max_header_list_size.get().copied()
    }

    fn learn(&self, parameters: &[u8]) {
        let (parameters, _) = parameters.as_chunks::<6>();
        // The last one counts.
        for &[id_0, id_1, value @ ..] in parameters.iter().rev() {
            if u16::from_be_bytes([id_0, id_1]) == MAX_HEADER_LIST_SIZE {
                let _ = self.max_header_list_size.set(u32::from_be_bytes(value));
            }
        }
    }
}

/// What a peer says first (RFC 9113 section 3.4): the preface, and its SETTINGS behind that. `h2` waits for those as long as the
/// connection is there.
#[derive(Debug)]
pub(super) struct Greeting {
    read: Vec<u8>,
    settings: Arc<PeerSettings>,
    late: Pin<Box<Sleep>>,
}

impl Greeting {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            read: Vec::new(),
            settings: Arc::default(),
            late: Box::pin(tokio::time::sleep(timeout)),
        }
    }

    /// What it says, once it has come.
    pub(super) fn settings(&self) -> Arc<PeerSettings> {
        Arc::clone(&self.settings)
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
        let Some(&[len_0, len_1, len_2, kind, ..]) = frame.first_chunk::<HEADER_LEN>() else {
            return false;
        };
        let len = u32::from_be_bytes([0, len_0, len_1, len_2]) as usize;
        let parameters = frame.get(HEADER_LEN..HEADER_LEN + len);
        if let (SETTINGS, Some(parameters)) = (kind, parameters) {
            self.settings.learn(parameters);
        }
        len > MAX_LEN || parameters.is_some()
    }
}
