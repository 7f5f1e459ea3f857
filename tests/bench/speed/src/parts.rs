//! The parts of the comparison: who, under which loads, and what is to be reached.

mod h2load;
mod memory;

use clap::ValueEnum;

use crate::{
    Error,
    contender::{Contender, Flavor, Library},
    load::{Call, Load},
    measure::{Comparison, Effort, Talk},
    message::Message,
    process::{Placement, cpp_server},
    table::{Limit, Metric, Table, Target},
};

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Clients against one server, many calls in flight.
    Clients,
    /// Servers under one client, many calls in flight.
    Servers,
    /// The server on one core and on both, shared with the client: what it costs to use more of them.
    Cores,
    /// Servers under h2load, which knows nothing of gRPC; where it is installed.
    H2load,
    /// One call in flight: clients against one server, and pairs of client and server on one core.
    Latency,
    /// Calls per second of one process over 1, 2 and 4 connections.
    Connections,
    /// Streams up, down and both ways.
    Streams,
    /// Memory of idle connections and of idle streams.
    Memory,
}

/// What clients are measured against, and servers with: it does the least.
const REFERENCE: Contender = Library::H2.on(Flavor::CurrentThread);

/// It has threads of its own, and no kinds of runtime.
const CPP: Contender = Library::Cpp.on(Flavor::MultiThread);

const IN_FLIGHT: usize = 64;
/// The connections that servers are loaded over.
const SERVER_CONNECTIONS: usize = 4;

const STREAM_LEN: u32 = 10_000;
const LARGE_STREAM_LEN: u32 = 200;

impl Part {
    pub fn run(self, effort: Effort, libraries: &[Library]) -> Result<Vec<Table>, Error> {
        let contenders: Vec<_> = libraries
            .iter()
            .flat_map(|library| Flavor::ALL.map(|flavor| library.on(flavor)))
            .collect();
        let comparisons = match self {
            Self::Clients => vec![clients(&contenders)],
            Self::Servers => vec![servers(&with_per_core(&contenders))],
            Self::Cores => vec![cores(libraries)],
            Self::H2load => return h2load::run(effort, &with_cpp(&with_per_core(&contenders))),
            Self::Latency => latency(&contenders),
            Self::Connections => vec![connections(&contenders)],
            Self::Streams => streams(&contenders),
            Self::Memory => return memory::run(effort, &contenders),
        };
        let mut tables = Vec::new();
        for comparison in comparisons {
            tables.extend(comparison.run(effort)?);
        }
        Ok(tables)
    }
}

/// Each contender as client, and the reference as the floor.
fn as_clients(contenders: &[Contender], placed: Placement) -> Vec<Talk> {
    let clients = contenders.iter().copied().chain([REFERENCE]);
    clients.map(|it| talk(it, it, REFERENCE, placed)).collect()
}

fn as_servers(contenders: &[Contender], placed: Placement) -> Vec<Talk> {
    let servers = with_cpp(contenders).into_iter().chain([REFERENCE]);
    servers.map(|it| talk(it, REFERENCE, it, placed)).collect()
}

fn with_cpp(contenders: &[Contender]) -> Vec<Contender> {
    let cpp = cpp_server().map(|_| CPP);
    contenders.iter().copied().chain(cpp).collect()
}

/// Ours, on runtimes of its own, comes first: one runtime, where it is measured on one core.
fn with_per_core(contenders: &[Contender]) -> Vec<Contender> {
    let is_measured = contenders.iter().any(|it| it.library == Library::Wireloom);
    let per_core = is_measured.then(|| Library::Wireloom.on(Flavor::PerCore));
    per_core
        .into_iter()
        .chain(contenders.iter().copied())
        .collect()
}

fn as_pairs(contenders: &[Contender], placed: Placement) -> Vec<Talk> {
    let pairs = contenders.iter().copied().chain([REFERENCE]);
    pairs.map(|it| talk(it, it, it, placed)).collect()
}

/// A row that is named for `who`.
fn talk(who: Contender, client: Contender, server: Contender, placed: Placement) -> Talk {
    Talk {
        name: who.to_string(),
        client,
        server,
        placed,
    }
}

fn unary(message: Message, in_flight: usize, connections: usize) -> Load {
    Load {
        call: Call::Unary,
        message,
        in_flight,
        connections,
        pooled: false,
    }
}

fn clients(contenders: &[Contender]) -> Comparison {
    Comparison {
        title: "clients",
        rows: as_clients(contenders, Placement::Apart),
        loads: Message::ALL.map(|it| unary(it, IN_FLIGHT, 1)).to_vec(),
        metrics: &[Metric::ClientCpu],
        targets: to_tonic(Metric::ClientCpu, [Limit::AtMost(0.5), Limit::AtMost(0.7)]),
    }
}

fn server_targets() -> Vec<Target> {
    let mut targets = to_tonic(Metric::ServerCpu, [Limit::AtMost(0.4), Limit::AtMost(0.75)]);
    targets.extend(ahead_of_others(Metric::ServerCpu));
    targets
}

fn servers(contenders: &[Contender]) -> Comparison {
    Comparison {
        title: "servers",
        rows: as_servers(contenders, Placement::Apart),
        loads: Message::ALL
            .map(|it| unary(it, IN_FLIGHT, SERVER_CONNECTIONS))
            .to_vec(),
        metrics: &[Metric::ServerCpu],
        targets: server_targets(),
    }
}

/// Servers that use as many cores as they have, on one and on two.
fn cores(libraries: &[Library]) -> Comparison {
    let servers = libraries.iter();
    let servers: Vec<_> = servers.map(|it| it.on(Flavor::MultiThread)).collect();
    let servers = with_per_core(&servers);
    let on = |server: Contender| {
        let places = [(1, Placement::OneCore), (2, Placement::BothCores)];
        places.map(|(cores, placed)| Talk {
            name: format!("{server} on {cores}"),
            ..talk(server, REFERENCE, server, placed)
        })
    };
    let ours = servers.iter().filter(|it| it.library == Library::Wireloom);
    let targets = ours.map(|server| {
        let [one, both] = on(*server);
        Target {
            row: both.name,
            base: one.name,
            metric: Metric::ServerCpu,
            limit: Limit::AtMost(1.1),
        }
    });
    Comparison {
        title: "cores",
        targets: targets.collect(),
        rows: servers.iter().flat_map(|it| on(*it)).collect(),
        loads: vec![
            unary(Message::Hello, IN_FLIGHT, SERVER_CONNECTIONS),
            unary(Message::Kibibyte, IN_FLIGHT, SERVER_CONNECTIONS),
            // As many more as two cores need, so that calls still come together.
            unary(Message::Hello, 4 * IN_FLIGHT, 4 * SERVER_CONNECTIONS),
        ],
        metrics: &[Metric::ServerCpu, Metric::Rate],
    }
}

fn latency(contenders: &[Contender]) -> Vec<Comparison> {
    let loads = vec![unary(Message::Hello, 1, 1)];
    let apart = Comparison {
        title: "clients, one call at a time",
        rows: as_clients(contenders, Placement::Apart),
        loads: loads.clone(),
        metrics: &[Metric::P50],
        targets: to_tonic(Metric::P50, [Limit::AtMost(0.7); 2]),
    };
    let together = Comparison {
        title: "clients and the same server on one core, one call at a time",
        rows: as_clients(contenders, Placement::Together),
        loads: loads.clone(),
        metrics: &[Metric::P50],
        targets: to_tonic(Metric::P50, [Limit::AtMost(0.7); 2]),
    };
    let pairs = Comparison {
        title: "pairs on one core, one call at a time",
        rows: as_pairs(contenders, Placement::Together),
        loads,
        metrics: &[Metric::P50],
        targets: to_tonic(Metric::P50, [Limit::AtMost(0.6); 2]),
    };
    vec![apart, together, pairs]
}

fn connections(contenders: &[Contender]) -> Comparison {
    Comparison {
        title: "connections",
        rows: as_clients(contenders, Placement::Apart),
        loads: [false, true]
            .into_iter()
            .flat_map(|pooled| {
                [1, 2, 4].map(|count| Load {
                    pooled,
                    ..unary(Message::Hello, IN_FLIGHT, count)
                })
            })
            .collect(),
        metrics: &[Metric::Rate, Metric::ClientCpu],
        targets: to_tonic(Metric::Rate, [Limit::AtLeast(1.3); 2]),
    }
}

fn streams(contenders: &[Contender]) -> Vec<Comparison> {
    let stream = |call, message| Load {
        call,
        message,
        in_flight: 1,
        connections: 1,
        pooled: false,
    };
    let loads = vec![
        stream(Call::Up(STREAM_LEN), Message::Hello),
        stream(Call::Down(STREAM_LEN), Message::Hello),
        stream(Call::Both(STREAM_LEN), Message::Hello),
        stream(Call::Up(LARGE_STREAM_LEN), Message::Large),
        stream(Call::Down(LARGE_STREAM_LEN), Message::Large),
        stream(Call::Both(LARGE_STREAM_LEN), Message::Large),
    ];
    let clients = Comparison {
        title: "client streams",
        rows: as_clients(contenders, Placement::Apart),
        loads: loads.clone(),
        metrics: &[Metric::Rate, Metric::ClientCpu],
        targets: to_tonic(Metric::Rate, [Limit::AtLeast(1.0); 2]),
    };
    let mut targets = to_tonic(Metric::Rate, [Limit::AtLeast(1.0); 2]);
    targets.extend(ahead_of_others(Metric::ServerCpu));
    let servers = Comparison {
        title: "server streams",
        rows: as_servers(contenders, Placement::Apart),
        loads,
        metrics: &[Metric::Rate, Metric::ServerCpu],
        targets,
    };
    vec![clients, servers]
}

/// Ours to tonic's, on each kind of runtime.
fn to_tonic(metric: Metric, limits: [Limit; 2]) -> Vec<Target> {
    let targets = Flavor::ALL.into_iter().zip(limits).map(|(flavor, limit)| {
        let (ours, theirs) = (Library::Wireloom.on(flavor), Library::Tonic.on(flavor));
        Target::new(ours, theirs, metric, limit)
    });
    targets.collect()
}

/// Ours dearer than none of the others, on each kind of runtime.
fn ahead_of_others(metric: Metric) -> Vec<Target> {
    let others = [Library::Connect, Library::Volo];
    let targets = others.into_iter().flat_map(|library| {
        Flavor::ALL.map(|flavor| (Library::Wireloom.on(flavor), library.on(flavor)))
    });
    targets
        .chain(Flavor::ALL.map(|flavor| (Library::Wireloom.on(flavor), CPP)))
        .map(|(ours, theirs)| Target::new(ours, theirs, metric, Limit::AtMost(1.0)))
        .collect()
}
