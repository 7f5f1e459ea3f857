//! What connections and streams that do nothing keep, by how the process's resident memory grows.

use super::{as_clients, as_servers, to_tonic};
use crate::{
    Error,
    contender::Contender,
    measure::{Effort, Talk},
    process::{Pair, Placement},
    table::{Limit, Metric, Row, Sample, Table},
    worker::ClientCommand,
};

const CONNECTIONS: usize = 200;
const STREAMS_PER_CONNECTION: usize = 50;

pub fn run(effort: Effort, contenders: &[Contender]) -> Result<Vec<Table>, Error> {
    let mut tables = measure(
        "clients",
        as_clients(contenders, Placement::Apart),
        Metric::ClientMemory,
        effort,
    )?;
    let servers = as_servers(contenders, Placement::Apart);
    tables.extend(measure("servers", servers, Metric::ServerMemory, effort)?);
    Ok(tables)
}

fn measure(
    who: &str,
    rows: Vec<Talk>,
    metric: Metric,
    effort: Effort,
) -> Result<Vec<Table>, Error> {
    eprintln!("measuring memory of {who}");
    let table = |what| Table {
        title: format!("memory of {who}, per {what}"),
        rows: rows.iter().map(|row| Row::new(&row.name)).collect(),
        metrics: vec![metric],
        targets: to_tonic(metric, [Limit::AtMost(1.0); 2]),
    };
    let (mut connections, mut streams) = (table("idle connection"), table("idle stream"));
    for _ in 0..effort.rounds {
        for (index, row) in rows.iter().enumerate() {
            let mut pair = Pair::start(row.client, row.server, row.placed)?;
            // The first few bring what is there once per process.
            pair.tell(&ClientCommand::Connect { count: 10 })?;
            pair.tell(&ClientCommand::Open { count: 10 })?;
            let count = CONNECTIONS;
            let connected = pair.tell(&ClientCommand::Connect { count })?;
            let count = CONNECTIONS * STREAMS_PER_CONNECTION;
            let opened = pair.tell(&ClientCommand::Open { count })?;
            let kib = |bytes: i64, count: usize| bytes as f64 / 1024.0 / count as f64;
            connections.rows[index].samples.push(Sample {
                client_memory: kib(connected.client_growth, CONNECTIONS),
                server_memory: kib(connected.server_growth, CONNECTIONS),
                ..Sample::default()
            });
            streams.rows[index].samples.push(Sample {
                client_memory: kib(opened.client_growth, count),
                server_memory: kib(opened.server_growth, count),
                ..Sample::default()
            });
        }
    }
    Ok(vec![connections, streams])
}
