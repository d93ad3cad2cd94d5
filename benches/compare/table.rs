//! Medians of interleaved rounds, with their spread, as a table.

use std::time::Duration;

use crate::load::Sample;

pub(crate) struct Table {
    title: &'static str,
    rows: Vec<String>,
    /// The row to which the next ones of the same work are compared: its work and its rate.
    first: Option<(&'static str, f64)>,
}

impl Table {
    pub(crate) fn new(title: &'static str) -> Self {
        Table {
            title,
            rows: Vec::new(),
            first: None,
        }
    }

    /// Adds a server's samples. The first server of a work is what the others are compared with.
    pub(crate) fn row(&mut self, work: &'static str, server: &str, samples: &[Sample]) {
        let rate = median(samples.iter().map(|sample| sample.per_second));
        let ratio = match self.first {
            Some((first, of_first)) if first == work => format!("{:.2}", of_first / rate),
            _ => {
                self.first = Some((work, rate));
                String::new()
            }
        };
        let quantile = |q: f64| {
            median(
                samples
                    .iter()
                    .map(|sample| sample.latency.value_at_quantile(q) as f64),
            )
        };
        self.rows.push(format!(
            "| {work} | {server} | {} | {ratio} | {:.2} + {:.2} | {:.0} / {:.0} / {:.0} |",
            summary(samples),
            per_request(samples, |sample| sample.user),
            per_request(samples, |sample| sample.system),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999)
        ));
    }

    pub(crate) fn print(&self) {
        println!("{}\n", self.title);
        println!(
            "| work | server | a second: median (lowest to highest) | discovery is × | CPU µs: user + system | latency µs: p50 / p99 / p99.9 |"
        );
        println!("|---|---|---|---|---|---|");
        for row in &self.rows {
            println!("{row}");
        }
        println!();
    }
}

/// The median rate of the samples with its spread.
pub(crate) fn summary(samples: &[Sample]) -> String {
    let rates = || samples.iter().map(|sample| sample.per_second);
    let (low, high) = rates().fold((f64::MAX, 0.0_f64), |(low, high), rate| {
        (low.min(rate), high.max(rate))
    });
    format!("{:.0} ({low:.0} to {high:.0})", median(rates()))
}

/// The median over the samples of a time for each request, in microseconds.
pub(crate) fn per_request(samples: &[Sample], time: impl Fn(&Sample) -> Duration) -> f64 {
    median(
        samples
            .iter()
            .map(|sample| time(sample).as_secs_f64() * 1e6 / sample.requests as f64),
    )
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
