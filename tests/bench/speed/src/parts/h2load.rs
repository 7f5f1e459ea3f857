//! Servers under `h2load` (Debian: nghttp2-client): a load generator that is not ours, and that reads no messages.

use std::{fs, path::Path, process::Command, time::Instant};

use crate::{
    Error,
    contender::Contender,
    frames,
    measure::Effort,
    message::Message,
    process::{Placement, Server},
    table::{Metric, Row, Sample, Table},
};

/// The calls of a turn.
const CALLS: u64 = 60_000;

/// A table for each message; none where `h2load` is not installed.
pub fn run(effort: Effort, contenders: &[Contender]) -> Result<Vec<Table>, Error> {
    if Command::new("h2load").arg("--version").output().is_err() {
        eprintln!("h2load is not installed: servers are not measured with it");
        return Ok(Vec::new());
    }
    let calls = match effort.rounds {
        1 => CALLS / 100,
        _ => CALLS,
    };
    let request = tempfile::NamedTempFile::new()?;
    let mut servers = Vec::new();
    for contender in contenders {
        servers.push(Server::start(*contender, Placement::Apart)?);
    }
    let mut tables = Vec::new();
    for message in [Message::Hello, Message::Kibibyte] {
        fs::write(request.path(), frames::frame(&message.encoded())?)?;
        let mut rows: Vec<_> = contenders
            .iter()
            .map(|it| Row::new(&it.to_string()))
            .collect();
        for round in 0..=effort.rounds {
            for (row, server) in rows.iter_mut().zip(&mut servers) {
                let sample = turn(server, request.path(), calls)?;
                // The first turn is to warm up.
                if round > 0 {
                    row.samples.push(sample);
                }
            }
        }
        tables.push(Table {
            title: format!("h2load: unary, {message}, 64 in flight over 4 connections"),
            rows,
            metrics: vec![Metric::ServerCpu],
            targets: super::server_targets(),
        });
    }
    Ok(tables)
}

fn turn(server: &mut Server, request: &Path, calls: u64) -> Result<Sample, Error> {
    let before = server.usage()?;
    let started = Instant::now();
    // `taskset` keeps it away from the server's core.
    let output = Command::new("taskset")
        .args(["-c", "1", "h2load", "-c", "4", "-m", "16", "-n"])
        .arg(calls.to_string())
        .args(["-H", "content-type: application/grpc", "-H", "te: trailers"])
        .arg("-d")
        .arg(request)
        .arg(format!("http://{}/speed.Echo/Unary", server.address))
        .output()?;
    let elapsed = started.elapsed();
    let after = server.usage()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{calls} succeeded, 0 failed");
    if !said.contains(&all) {
        return Err(format!("not all calls of h2load succeeded: {said}").into());
    }
    let cpu = after.cpu.saturating_sub(before.cpu);
    Ok(Sample {
        server_cpu: cpu.as_secs_f64() * 1e6 / calls as f64,
        rate: calls as f64 / elapsed.as_secs_f64(),
        ..Sample::default()
    })
}
