//! What a policy that is not needed adds to a unary call, on the client: allocations, and instructions.
//!
//! `cargo bench -p wireloom-tests --bench call_cost`
//!
//! The server is another process, and the client has one thread, so that what is counted is the client and nothing
//! else. A counting allocator counts allocations; valgrind's callgrind counts instructions, of a run with a number of
//! calls and of one with twice as many: the difference is what the calls cost, without start and end. Without valgrind
//! only allocations are counted.
//!
//! It fails where the instructions of two policies differ by more than [`TOLERANCE`], or where a policy allocates more
//! than [`Policy::bookkeeping`] beside a call without one: a first attempt that succeeds copies no message.

#[path = "call_cost/allocations.rs"]
mod allocations;
#[path = "call_cost/client.rs"]
mod client;
#[path = "call_cost/instructions.rs"]
mod instructions;
#[path = "call_cost/server.rs"]
mod server;

use std::env;

use self::{
    allocations::{Allocations, CountingAllocator},
    client::{Job, Policy},
    server::ServerProcess,
};

type Error = Box<dyn std::error::Error>;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// The most by which the dearest policy may cost more instructions than the cheapest.
const TOLERANCE: f64 = 0.05;

const SMALL: usize = 16;
const LARGE: usize = 64 << 10;

fn main() -> Result<(), Error> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => server::serve(),
        ["call", address, policy, calls] => {
            let job = Job {
                address,
                policy: Policy::named(policy)?,
                message_bytes: SMALL,
            };
            client::make_calls(&job, calls.parse()?).map(drop)
        }
        _ => compare(),
    }
}

/// What a call costs.
struct Cost {
    policy: Policy,
    small: Allocations,
    large: Allocations,
    instructions: Option<f64>,
}

fn compare() -> Result<(), Error> {
    let server = ServerProcess::start()?;
    if !instructions::can_count() {
        println!("valgrind is not installed: instructions are not counted");
    }
    let mut costs = Vec::new();
    for policy in Policy::ALL {
        let job = |message_bytes| Job {
            address: server.address(),
            policy,
            message_bytes,
        };
        costs.push(Cost {
            policy,
            small: allocations::per_call(&job(SMALL))?,
            large: allocations::per_call(&job(LARGE))?,
            instructions: instructions::per_call(&job(SMALL))?,
        });
    }
    print_table(&costs);
    check(&costs)
}

fn print_table(costs: &[Cost]) {
    println!("A unary call, on the client; ratios are to the first line.\n");
    println!(
        "{:<20} {:>12} {:>10} {:>7} {:>17} {:>13} {:>7}",
        "", "allocations", "bytes", "ratio", "bytes at 64 KiB", "instructions", "ratio"
    );
    let first = &costs[0];
    for cost in costs {
        print!(
            "{:<20} {:>12.1} {:>10.0} {:>7.3} {:>17.0}",
            cost.policy.name(),
            cost.small.count,
            cost.small.bytes,
            cost.small.bytes / first.small.bytes,
            cost.large.bytes,
        );
        match (cost.instructions, first.instructions) {
            (Some(count), Some(first)) => println!(" {count:>13.0} {:>7.3}", count / first),
            _ => println!(" {:>13} {:>7}", "-", "-"),
        }
    }
}

fn check(costs: &[Cost]) -> Result<(), Error> {
    let instructions = || costs.iter().filter_map(|cost| cost.instructions);
    let least = instructions().fold(f64::INFINITY, f64::min);
    let most = instructions().fold(0.0, f64::max);
    if most > least * (1.0 + TOLERANCE) {
        let percent = TOLERANCE * 100.0;
        return Err(format!("instructions differ by more than {percent} %").into());
    }
    for cost in &costs[1..] {
        let more = cost.large.bytes - costs[0].large.bytes;
        if more > cost.policy.bookkeeping() {
            let name = cost.policy.name();
            return Err(format!("{name} allocates {more:.0} bytes more per call").into());
        }
    }
    Ok(())
}
