//! Counts instructions, by callgrind.

use std::{
    env,
    process::{Command, Stdio},
};

use super::{Error, client::Job};

const CALLS: u32 = 1000;

/// Whether valgrind is there.
pub fn can_count() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// The instructions of a call; `None` without valgrind.
pub fn per_call(job: &Job<'_>) -> Result<Option<f64>, Error> {
    if !can_count() {
        return Ok(None);
    }
    let once = of_run(job, CALLS)?;
    let twice = of_run(job, 2 * CALLS)?;
    Ok(Some((twice as f64 - once as f64) / f64::from(CALLS)))
}

/// The instructions of a process that makes so many calls.
fn of_run(job: &Job<'_>, calls: u32) -> Result<u64, Error> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["call", job.address, job.policy.name(), &calls.to_string()])
        .output()?;
    let log = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() {
        return Err(format!("the run under callgrind failed: {log}").into());
    }
    let collected = log
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .ok_or_else(|| format!("callgrind did not say what it collected: {log}"))?;
    Ok(collected.1.trim().parse()?)
}
