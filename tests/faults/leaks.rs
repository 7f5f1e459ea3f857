//! What a test holds: tasks and memory, which have to be what they were once it is over.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

/// What a runtime, and the maps and queues that stay, may keep of a busier time.
const SLACK: isize = 64 << 10;

/// The system's allocator, which counts what is held.
pub struct Accountant;

/// By all threads together.
static HELD_BY_ALL: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// By this thread: tests run on a thread each, and so do their runtimes.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD_BY_ALL.fetch_add(bytes, Ordering::Relaxed);
    // A thread that ends frees its own locals last.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Accountant {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// What the runtime held at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    pub tasks: usize,
    pub bytes: isize,
}

impl Holdings {
    pub fn now() -> Self {
        let runtime = Handle::current();
        Self {
            tasks: runtime.metrics().num_alive_tasks(),
            bytes: match runtime.runtime_flavor() {
                RuntimeFlavor::CurrentThread => HELD.get(),
                _ => HELD_BY_ALL.load(Ordering::Relaxed),
            },
        }
    }

    /// What is held once tasks that were told to end have done so: the same for some turns of the runtime.
    pub async fn settled() -> Self {
        let mut last = Self::now();
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = Self::now();
            if now == last {
                return now;
            }
            last = now;
        }
    }

    /// Waits until no more is held than then; fails the test where that does not come about.
    pub async fn are_back(self) {
        let limit = Instant::now() + crate::PATIENCE;
        loop {
            let now = Self::now();
            if now.tasks <= self.tasks && now.bytes - self.bytes <= SLACK {
                return;
            }
            assert!(Instant::now() < limit, "{now:?} now, {self:?} before");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
