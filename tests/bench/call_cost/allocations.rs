//! Counts allocations.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ops::Sub,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    Error,
    client::{Job, make_calls},
};

const CALLS: u32 = 1000;

/// Allocations of a call, on average.
pub struct Allocations {
    pub count: f64,
    pub bytes: f64,
}

/// Allocations of a process, so far.
pub struct Totals {
    count: u64,
    bytes: u64,
}

impl Sub for Totals {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            count: self.count - before.count,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// The system's allocator, with counters.
pub struct CountingAllocator {
    count: AtomicU64,
    bytes: AtomicU64,
}

impl CountingAllocator {
    pub const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub fn totals(&self) -> Totals {
        Totals {
            count: self.count.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    fn record(&self, bytes: usize) {
        self.count.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.record(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.record(new_size);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// What a call allocates once its channel is warm.
pub fn per_call(job: &Job<'_>) -> Result<Allocations, Error> {
    let total = make_calls(job, CALLS)?;
    let calls = f64::from(CALLS);
    Ok(Allocations {
        count: total.count as f64 / calls,
        bytes: total.bytes as f64 / calls,
    })
}
