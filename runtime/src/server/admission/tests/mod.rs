//! Gates and their lines under a paused clock, and adaptive limits in front of simulated servers.

mod adaptive;
mod checks;
mod waiting;
