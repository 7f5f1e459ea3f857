//! Results: medians, spreads, ratios to tonic, and what was to be reached.

use std::fmt;

use serde::Serialize;

use crate::contender::{Contender, Library};

/// One round of one row.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sample {
    pub client_cpu: f64,
    pub server_cpu: f64,
    pub rate: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub client_memory: f64,
    pub server_memory: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Metric {
    ClientCpu,
    ServerCpu,
    Rate,
    P50,
    P90,
    P99,
    ClientMemory,
    ServerMemory,
}

impl Metric {
    fn of(self, sample: &Sample) -> f64 {
        match self {
            Self::ClientCpu => sample.client_cpu,
            Self::ServerCpu => sample.server_cpu,
            Self::Rate => sample.rate,
            Self::P50 => sample.p50,
            Self::P90 => sample.p90,
            Self::P99 => sample.p99,
            Self::ClientMemory => sample.client_memory,
            Self::ServerMemory => sample.server_memory,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ClientCpu => "client us",
            Self::ServerCpu => "server us",
            Self::Rate => "per second",
            Self::P50 => "p50 us",
            Self::P90 => "p90 us",
            Self::P99 => "p99 us",
            Self::ClientMemory => "client KiB",
            Self::ServerMemory => "server KiB",
        })
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub samples: Vec<Sample>,
}

impl Row {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            samples: Vec::new(),
        }
    }

    fn sorted(&self, metric: Metric) -> Vec<f64> {
        let mut values: Vec<_> = self.samples.iter().map(|it| metric.of(it)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    pub fn median(&self, metric: Metric) -> f64 {
        let values = self.sorted(metric);
        let middle = values.len() / 2;
        match values.len() {
            0 => f64::NAN,
            len if len.is_multiple_of(2) => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        }
    }

    pub fn range(&self, metric: Metric) -> (f64, f64) {
        let values = self.sorted(metric);
        let end = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        (end(values.first()), end(values.last()))
    }

    /// How far apart the rounds are, in percent of the median.
    fn spread(&self, metric: Metric) -> f64 {
        let (least, most) = self.range(metric);
        (most - least) / self.median(metric) * 100.0
    }
}

/// What a ratio has to be.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// A ratio of two rows that is to be reached.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    pub row: String,
    pub base: String,
    pub metric: Metric,
    pub limit: Limit,
}

impl Target {
    pub fn new(row: Contender, base: Contender, metric: Metric, limit: Limit) -> Self {
        Self {
            row: row.to_string(),
            base: base.to_string(),
            metric,
            limit,
        }
    }
}

/// Rows that were measured in turns.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub title: String,
    pub rows: Vec<Row>,
    /// What the table compares; the rest is shown beside it.
    pub metrics: Vec<Metric>,
    pub targets: Vec<Target>,
}

impl Table {
    /// The medians of `row` over those of `base`, where both were measured.
    fn ratio(&self, row: &str, base: &str, metric: Metric) -> Option<f64> {
        let median = |name| {
            let row = self.rows.iter().find(|row| row.name == name);
            row.map(|row| row.median(metric))
        };
        Some(median(row)? / median(base)?)
    }

    /// What ratios are to: tonic, however it was measured.
    fn bases(&self) -> Vec<&str> {
        let rows = self.rows.iter().map(|row| row.name.as_str());
        rows.filter(|name| name.starts_with(Library::Tonic.name()))
            .collect()
    }

    /// The columns that are shown without a ratio.
    fn others(&self) -> Vec<Metric> {
        let measured = |metric: &Metric| self.rows.iter().any(|row| row.median(*metric) > 0.0);
        let mut others = vec![
            Metric::ClientCpu,
            Metric::ServerCpu,
            Metric::Rate,
            Metric::P50,
            Metric::P90,
            Metric::P99,
        ];
        others.retain(|metric| !self.metrics.contains(metric) && measured(metric));
        others
    }

    /// A line for each target: what is to be reached, and what is.
    pub fn reached(&self) -> Vec<String> {
        let lines = self.targets.iter().map(|target| {
            let Target {
                row, base, metric, ..
            } = target;
            let what = format!("{}: {metric} of {row} to {base}", self.title);
            let Some(ratio) = self.ratio(row, base, *metric) else {
                return format!("not measured: {what}");
            };
            let (reached, wanted) = match target.limit {
                Limit::AtMost(limit) => (ratio <= limit, format!("at most {limit:.2}")),
                Limit::AtLeast(limit) => (ratio >= limit, format!("at least {limit:.2}")),
            };
            let mark = if reached { "reached" } else { "MISSED" };
            format!("{mark:<8} {ratio:>5.2} ({wanted})  {what}")
        });
        lines.collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bases = self.bases();
        writeln!(f, "\n{}", self.title)?;
        write!(f, "{:<22}", "")?;
        for metric in &self.metrics {
            write!(f, "{metric:>11}{:>8}", "spread")?;
            for base in &bases {
                write!(f, "{:>20}", format!("/ {base}"))?;
            }
        }
        let others = self.others();
        for metric in &others {
            write!(f, "{metric:>11}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<22}", row.name)?;
            for metric in &self.metrics {
                let spread = format!("{:.0} %", row.spread(*metric));
                write!(f, "{:>11}{spread:>8}", number(row.median(*metric)))?;
                for base in &bases {
                    match self.ratio(&row.name, base, *metric) {
                        Some(ratio) => write!(f, "{ratio:>20.2}")?,
                        None => write!(f, "{:>20}", "-")?,
                    }
                }
            }
            for metric in &others {
                write!(f, "{:>11}", number(row.median(*metric)))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Three digits that say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
