//! Measures Wireloom's client and server against those of tonic, connect-rust and volo-grpc, and the server of C++ gRPC.
//!
//! `tests/bench/speed/run`, or `tests/bench/speed/run clients servers --rounds 9`
//!
//! The server is one process, pinned to core 0, and the client another, pinned to core 1 (`cores` has them share both).
//! Contenders take turns, round by round. Processor time is what the operating system says of each process, user and
//! system, per call (of streams: per message). Clients are measured against a server that does nothing but frames on the
//! `h2` crate, and servers with such a client; both are rows, too, and the floor. Tables go to the output, with what is to
//! be reached below them; a plot and the samples go to the folder that `--out` names.

mod client;
mod contender;
mod frames;
mod load;
mod measure;
mod message;
mod parts;
mod plot;
mod process;
mod server;
mod table;
mod usage;
mod worker;

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum as _};

use self::{
    contender::{Contender, Library},
    measure::Effort,
    parts::Part,
    table::Table,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

mod proto {
    wireloom::include_protos!();
}

#[allow(clippy::all)]
mod tonic_proto {
    include!(concat!(env!("OUT_DIR"), "/tonic/speed.rs"));
}

#[allow(clippy::all)]
mod connect_generated {
    include!(concat!(env!("OUT_DIR"), "/connect/mod.rs"));
}
use connect_generated::speed as connect_proto;

#[allow(clippy::all, dead_code)]
mod volo_generated {
    include!(concat!(env!("OUT_DIR"), "/volo/volo_gen.rs"));
}
use volo_generated::volo_gen::speed as volo_proto;

#[derive(Parser)]
#[command(about = "Measures Wireloom against other gRPC implementations")]
struct Cli {
    #[command(subcommand)]
    process: Option<Process>,
    #[command(flatten)]
    run: Run,
    /// The cores of a process that takes part.
    #[arg(long, hide = true, value_delimiter = ',')]
    cores: Vec<usize>,
}

/// The processes that take part; this program starts them.
#[derive(Subcommand)]
enum Process {
    #[command(hide = true)]
    Serve { contender: Contender },
    #[command(hide = true)]
    Call {
        contender: Contender,
        address: SocketAddr,
    },
}

#[derive(Args)]
struct Run {
    /// What to measure; all of it by default.
    parts: Vec<Part>,
    /// Runs everything once, for a moment: whether it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// How often each contender has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a turn is, in milliseconds.
    #[arg(long, default_value_t = 600)]
    millis: u64,
    /// The implementations that take part; all of them by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Library>,
    /// Where plots and samples go.
    #[arg(long, default_value = "target/speed")]
    out: PathBuf,
}

fn main() -> Result<(), Error> {
    let cli = Cli::parse();
    if !cli.cores.is_empty() {
        usage::pin_to(&cli.cores)?;
    }
    match cli.process {
        Some(Process::Serve { contender }) => worker::run_server(contender),
        Some(Process::Call { contender, address }) => worker::run_client(contender, address),
        None => compare(&cli.run),
    }
}

fn compare(run: &Run) -> Result<(), Error> {
    let effort = match run.quick {
        true => Effort {
            rounds: 1,
            round: Duration::from_millis(20),
        },
        false => Effort {
            rounds: run.rounds.max(1),
            round: Duration::from_millis(run.millis),
        },
    };
    let libraries = match run.only.as_slice() {
        [] => &Library::COMPETING,
        only => only,
    };
    let parts = match run.parts.as_slice() {
        [] => Part::value_variants(),
        parts => parts,
    };
    fs::create_dir_all(&run.out)?;
    let mut reached = Vec::new();
    for part in parts {
        let tables = part.run(effort, libraries)?;
        tables.iter().for_each(|table| print!("{table}"));
        reached.extend(tables.iter().flat_map(Table::reached));
        let name = format!("{part:?}").to_lowercase();
        plot::draw(&tables, &run.out.join(&name).with_extension("svg"))?;
        let samples = serde_json::to_vec_pretty(&tables)?;
        fs::write(run.out.join(&name).with_extension("json"), samples)?;
    }
    println!("\nWhat is to be reached\n{}", reached.join("\n"));
    Ok(())
}
