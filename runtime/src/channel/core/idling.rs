//! Channels that are not in use give up their connections.

use std::{
    ops::ControlFlow,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio_util::task::AbortOnDropHandle;

use super::Core;

/// How often in an idle timeout a channel looks whether it is in use.
const IDLE_CHECKS: u32 = 4;

impl Core {
    pub(super) fn begin_idling(&self) -> Option<AbortOnDropHandle<()>> {
        let timeout = self.idle_timeout?;
        let idling = idle_after(Weak::clone(&self.me), timeout);
        Some(AbortOnDropHandle::new(tokio::spawn(idling)))
    }

    /// Gives up all connections until there is another call, if there has been none since there were `picks`; gives how many
    /// there are now.
    fn go_idle(&self, picks: usize) -> ControlFlow<(), usize> {
        let now = self.picks.load(Ordering::Relaxed);
        let mut state = self.lock();
        let mut subchannels = state.subchannels.iter();
        let in_use = self.picker.receiver_count() > 0
            || subchannels.any(|subchannel| subchannel.turns().in_flight() > 0);
        if now != picks || in_use {
            return ControlFlow::Continue(now);
        }
        state.active = None;
        state.resolver = None;
        state.addresses = Arc::default();
        state.failure = None;
        state.subchannels.clear();
        state.arranged = false;
        state.outliers = None;
        self.tells.store(false, Ordering::Relaxed);
        self.publish(&mut state);
        ControlFlow::Break(())
    }
}

/// Looks from time to time whether the channel is in use; once it has not been for `timeout`, it goes idle.
async fn idle_after(core: Weak<Core>, timeout: Duration) {
    let (mut picks, mut unused) = (0, Duration::ZERO);
    let interval = timeout / IDLE_CHECKS;
    loop {
        tokio::time::sleep(interval).await;
        unused += interval;
        let Some(core) = core.upgrade() else {
            return;
        };
        if unused < timeout {
            let now = core.picks.load(Ordering::Relaxed);
            if now != picks {
                (picks, unused) = (now, Duration::ZERO);
            }
            continue;
        }
        match core.go_idle(picks) {
            ControlFlow::Continue(now) => (picks, unused) = (now, Duration::ZERO),
            ControlFlow::Break(()) => return,
        }
    }
}
