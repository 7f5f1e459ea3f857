//! What a server gets done under more load than it can serve, with and without limits.
//!
//! `cargo bench -p wireloom-tests --bench overload [-- --quick]`
//!
//! The server is another process with one thread. Calls come in at a rate, whether or not earlier ones have ended, over
//! several connections, and want their answer within [`DEADLINE`]. *Goodput* is what ends well within it, in a second.

#[path = "overload/load.rs"]
mod load;
#[path = "overload/server.rs"]
mod server;

use std::{env, time::Duration};

use self::{
    load::{Clients, Load, Measured},
    server::{Limited, ServerProcess, Work},
};

type Error = Box<dyn std::error::Error>;

/// How long a caller waits for its answer.
const DEADLINE: Duration = Duration::from_millis(250);

/// Loads, in times of what the server can serve.
const LOADS: [f64; 6] = [0.5, 1.0, 2.0, 4.0, 7.0, 10.0];
const QUICK_LOADS: [f64; 2] = [1.0, 4.0];

fn main() -> Result<(), Error> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", work, limited] => server::serve(Work::named(work)?, Limited::named(limited)?),
        _ if is_quick => compare(&QUICK_LOADS, Duration::from_secs(1)),
        _ => compare(&LOADS, Duration::from_secs(8)),
    }
}

fn compare(loads: &[f64], time: Duration) -> Result<(), Error> {
    for work in Work::ALL {
        println!(
            "\n{}: {} calls/s can be served",
            work.name(),
            work.capacity()
        );
        println!(
            "{:>9} {:>12} {:>12} {:>12} {:>12} {:>12}",
            "load", "limits", "goodput/s", "refused/s", "late/s", "RSS MiB"
        );
        for limited in [Limited::Not, Limited::Adaptive] {
            let server = ServerProcess::start(work, limited)?;
            for &times in loads {
                let measured = measure(&server, work, times, time, Clients::Once)?;
                print_row(&format!("{times}x"), limited, measured, time, &server)?;
            }
        }
        println!("clients that retry (3 attempts), at the highest load:");
        let most = loads.iter().copied().fold(0.0, f64::max);
        for limited in [Limited::Not, Limited::Adaptive] {
            for clients in [Clients::Once, Clients::Retry, Clients::RetryThrottled] {
                let server = ServerProcess::start(work, limited)?;
                let measured = measure(&server, work, most, time, clients)?;
                print_row(clients.name(), limited, measured, time, &server)?;
            }
        }
    }
    Ok(())
}

fn measure(
    server: &ServerProcess,
    work: Work,
    times: f64,
    time: Duration,
    clients: Clients,
) -> Result<Measured, Error> {
    load::run(&Load {
        target: server.address(),
        calls_per_second: f64::from(work.capacity()) * times,
        warm_up: time / 4,
        time,
        clients,
    })
}

fn print_row(
    name: &str,
    limited: Limited,
    measured: Measured,
    time: Duration,
    server: &ServerProcess,
) -> Result<(), Error> {
    let rate = |count: u64| count as f64 / time.as_secs_f64();
    println!(
        "{name:>9} {:>12} {:>12.0} {:>12.0} {:>12.0} {:>12.1}",
        limited.name(),
        rate(measured.good),
        rate(measured.refused),
        rate(measured.late),
        server.resident_mib()?,
    );
    Ok(())
}
