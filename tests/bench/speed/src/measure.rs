//! Measures contenders in turns: round by round, so that whatever else the machine does meets all of them.

use std::time::Duration;

use crate::{
    Error,
    contender::Contender,
    load::Load,
    process::{Cost, Pair, Placement},
    table::{Metric, Row, Sample, Table, Target},
};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    pub round: Duration,
}

/// A row: who talks to whom, and where.
pub struct Talk {
    pub name: String,
    pub client: Contender,
    pub server: Contender,
    pub placed: Placement,
}

/// Contenders under the same loads.
pub struct Comparison {
    pub title: &'static str,
    pub rows: Vec<Talk>,
    pub loads: Vec<Load>,
    /// What is compared.
    pub metrics: &'static [Metric],
    pub targets: Vec<Target>,
}

impl Comparison {
    /// A table for each load.
    pub fn run(&self, effort: Effort) -> Result<Vec<Table>, Error> {
        eprintln!("measuring {}", self.title);
        let mut pairs = Vec::new();
        for row in &self.rows {
            pairs.push(Pair::start(row.client, row.server, row.placed)?);
        }
        let mut tables = Vec::new();
        for load in &self.loads {
            let mut rows: Vec<_> = self.rows.iter().map(|row| Row::new(&row.name)).collect();
            for pair in &mut pairs {
                // Nobody is measured cold.
                pair.run(*load, effort.round / 4)?;
            }
            for _ in 0..effort.rounds {
                for (row, pair) in rows.iter_mut().zip(&mut pairs) {
                    row.samples.push(sample(pair.run(*load, effort.round)?)?);
                }
            }
            tables.push(Table {
                title: format!("{}: {load}", self.title),
                rows,
                metrics: self.metrics.to_vec(),
                targets: self.targets.clone(),
            });
        }
        Ok(tables)
    }
}

fn sample(cost: Cost) -> Result<Sample, Error> {
    let round = cost.round.ok_or("a round has no result")?;
    let count = round.count as f64;
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    Ok(Sample {
        client_cpu: micros(cost.client_cpu) / count,
        server_cpu: micros(cost.server_cpu) / count,
        rate: count / round.elapsed.as_secs_f64(),
        p50: micros(round.p50),
        p90: micros(round.p90),
        p99: micros(round.p99),
        ..Sample::default()
    })
}
