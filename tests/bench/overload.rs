//! What a server gets done under more load than it can serve, with and without limits.
//!
//! `cargo bench -p wireloom-tests --bench overload [-- --quick]`
//!
//! The server is another process with one thread, on a core of its own. Calls come in at a rate, whether or not earlier ones
//! have ended, over several connections, and want their answer within [`DEADLINE`]. *Goodput* is what ends well within it, in
//! a second; its peak is the highest of all rows. It fails where the goodput of a limited server at the highest load is far
//! below the peak, or its memory far above that at the lowest.

#[path = "overload/load.rs"]
mod load;
#[path = "overload/server.rs"]
mod server;

use std::{env, time::Duration};

use self::{
    load::{Clients, Load, Measured},
    server::{Core, Limited, Rounds, ServerProcess, Work},
};

type Error = Box<dyn std::error::Error>;

/// How long a caller waits for its answer.
const DEADLINE: Duration = Duration::from_millis(250);

/// What is measured, and what is to come of it.
struct Plan {
    /// In times of what the server can serve at best.
    loads: &'static [f64],
    time: Duration,
    /// The goodput at the highest load, as a share of the peak: at least this.
    least_share: f64,
}

const FULL: Plan = Plan {
    loads: &[0.5, 0.8, 1.0, 1.5, 2.0, 4.0, 10.0],
    time: Duration::from_secs(5),
    least_share: 0.8,
};

/// Says whether something is broken: a debug build, on a machine that may leave the server half of its core.
const QUICK: Plan = Plan {
    loads: &[1.0, 1.5, 10.0],
    time: Duration::from_secs(2),
    least_share: 0.25,
};

const QUICK_TRIES: u32 = 3;

/// The memory at the highest load, in times of that at the lowest: at most this.
const MOST_MEMORY: f64 = 2.0;

fn main() -> Result<(), Error> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", work, limited, rounds] => {
            let rounds = Rounds(rounds.parse()?);
            server::serve(Work::named(work)?, Limited::named(limited)?, rounds)
        }
        _ if is_quick => try_quickly(),
        _ => compare(&FULL),
    }
}

/// A machine that has other work at the moment may leave neither side enough of its core: what is broken stays so.
fn try_quickly() -> Result<(), Error> {
    for _ in 1..QUICK_TRIES {
        match compare(&QUICK) {
            Ok(()) => return Ok(()),
            Err(error) => println!("once more: {error}"),
        }
    }
    compare(&QUICK)
}

fn compare(plan: &Plan) -> Result<(), Error> {
    Core::Load.take()?;
    let rounds = Rounds::measure();
    let mut failures = Vec::new();
    for work in Work::ALL {
        println!("\n{}: {} calls/s at best", work.name(), work.capacity());
        println!(
            "{:>9} {:>10} {:>10} {:>10} {:>10} {:>8} {:>10}",
            "load", "limits", "goodput/s", "refused/s", "late/s", "CPU %", "most MiB"
        );
        let mut rows = Vec::new();
        for limited in [Limited::Not, Limited::Adaptive] {
            let server = ServerProcess::start(work, limited, rounds)?;
            for &times in plan.loads {
                let row = Row::measure(&server, work, times, plan.time, Clients::Once)?;
                row.print(&format!("{times}x"), limited);
                rows.push((limited, row));
            }
        }
        failures.extend(judge(plan, work, &rows));
        println!(
            "a server that has just started, at the highest load, and clients that retry (3 attempts):"
        );
        let most = plan.loads.iter().copied().fold(0.0, f64::max);
        for limited in [Limited::Not, Limited::Adaptive] {
            for clients in [Clients::Once, Clients::Retry, Clients::RetryThrottled] {
                let server = ServerProcess::start(work, limited, rounds)?;
                let row = Row::measure(&server, work, most, plan.time, clients)?;
                row.print(clients.name(), limited);
            }
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("; ").into()),
    }
}

/// Says what share of the peak the limited server has at the highest load, and what is wrong, if something is.
fn judge(plan: &Plan, work: Work, rows: &[(Limited, Row)]) -> Option<String> {
    let peak = rows.iter().map(|(_, row)| row.goodput).fold(0.0, f64::max);
    let mut limited = rows
        .iter()
        .filter(|(limited, _)| *limited == Limited::Adaptive);
    let (_, lowest) = limited.next()?;
    let (_, highest) = limited.next_back()?;
    let share = highest.goodput / peak;
    let memory = highest.most_memory_mib / lowest.most_memory_mib;
    println!(
        "limited, at the highest load: {:.0} % of the peak ({peak:.0}/s), {memory:.2} times the memory",
        share * 100.0
    );
    let is_right = share >= plan.least_share && memory <= MOST_MEMORY;
    (!is_right).then(|| {
        format!(
            "{}: the goodput must be at least {} of its peak and is {share:.2}, the memory at most {MOST_MEMORY} times and is \
             {memory:.2}",
            work.name(),
            plan.least_share
        )
    })
}

/// What came of a load.
struct Row {
    goodput: f64,
    refused: f64,
    late: f64,
    /// What the server had of its core.
    cpu_share: f64,
    most_memory_mib: f64,
}

impl Row {
    fn measure(
        server: &ServerProcess,
        work: Work,
        times: f64,
        time: Duration,
        clients: Clients,
    ) -> Result<Self, Error> {
        server.forget_most_memory()?;
        let before = server.cpu_time()?;
        let warm_up = time / 4;
        let Measured {
            good,
            refused,
            late,
        } = load::run(&Load {
            target: server.address(),
            calls_per_second: f64::from(work.capacity()) * times,
            warm_up,
            time,
            clients,
        })?;
        let cpu_time = server.cpu_time()? - before;
        let rate = |count: u64| count as f64 / time.as_secs_f64();
        Ok(Self {
            goodput: rate(good),
            refused: rate(refused),
            late: rate(late),
            cpu_share: cpu_time.as_secs_f64() / (warm_up + time).as_secs_f64(),
            most_memory_mib: server.most_memory_mib()?,
        })
    }

    fn print(&self, name: &str, limited: Limited) {
        println!(
            "{name:>9} {:>10} {:>10.0} {:>10.0} {:>10.0} {:>8.0} {:>10.1}",
            limited.name(),
            self.goodput,
            self.refused,
            self.late,
            self.cpu_share * 100.0,
            self.most_memory_mib,
        );
    }
}
