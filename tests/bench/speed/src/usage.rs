//! What the operating system says of this process.

use std::{fs, time::Duration};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
    },
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::Error;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of all threads, of user and of system.
    pub cpu: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
}

impl Usage {
    pub fn now() -> Result<Self, Error> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Ok(Self {
            cpu: Duration::from_micros(u64::try_from(micros)?),
            rss_bytes: rss()?,
        })
    }
}

fn rss() -> Result<u64, Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kib: u64 = kib.ok_or("the system does not tell the memory")?.parse()?;
    Ok(kib << 10)
}

/// Keeps this process, with all threads that it will start, on these cores.
pub fn pin_to(cores: &[usize]) -> Result<(), Error> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
