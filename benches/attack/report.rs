//! The figures of one attack, as rows of two tables.

use hdrhistogram::Histogram;

use crate::honest::{Measured, REQUESTS};
use crate::scenarios::Scenario;

/// Milliseconds of an answer, p99, and of a turn.
const ANSWER_MS: f64 = 20.0;
const TURN_MS: f64 = 10.0;

/// What was measured in one scenario.
pub(crate) struct Figures {
    /// In the order of [`REQUESTS`], before the attack and in it.
    pub(crate) idle: Vec<Measured>,
    pub(crate) attacked: Vec<Measured>,
    /// The longest turn since the start, in microseconds, before the attack and after it.
    pub(crate) worst_turn_us: [u64; 2],
    pub(crate) lost: usize,
    /// The most memory that was resident, in KiB, before the attack and after it.
    pub(crate) resident_kib: [u64; 2],
}

pub(crate) fn goals() {
    println!(
        "Goals: p99 under {ANSWER_MS} ms; no turn over 5 ms, {TURN_MS} ms at most here; nothing live is lost. What\n\
         misses its goal is bold. Times in ms: p50 / p99 / worst; beside it, requests without an answer.\n"
    );
}

impl Figures {
    pub(crate) fn print(&self, scenario: &Scenario) {
        println!("**{}**: {}\n", scenario.name, scenario.what);
        println!("| | idle | under attack |");
        println!("|---|---|---|");
        for (i, request) in REQUESTS.iter().enumerate() {
            let (idle, attacked) = (times(&self.idle[i]), times(&self.attacked[i]));
            println!("| {request} | {idle} | {attacked} |");
        }
        let [before, after] = self.worst_turn_us.map(|us| us as f64 / 1e3);
        let after = if after > before {
            bold(format!("{after:.1}"), after > TURN_MS)
        } else {
            "no longer".to_owned()
        };
        println!("| longest turn so far | {before:.1} | {after} |");
        let [before, after] = self.resident_kib.map(|kib| kib as f64 / 1024.0);
        println!("| resident so far, MiB | {before:.0} | {after:.0} |");
        let lost = bold(self.lost.to_string(), self.lost > 0);
        println!("| live registrations lost | | {lost} |\n");
    }
}

fn times(measured: &Measured) -> String {
    let Measured { latency, failed } = measured;
    let ms = |us: u64| us as f64 / 1e3;
    let quantile = |latency: &Histogram<u64>, q| ms(latency.value_at_quantile(q));
    let (median, p99) = (quantile(latency, 0.5), quantile(latency, 0.99));
    let times = format!("{median:.2} / {p99:.2} / {:.1}", ms(latency.max()));
    let failed = match failed {
        0 => String::new(),
        failed => format!("; {failed} without"),
    };
    bold(times + &failed, p99 >= ANSWER_MS || !failed.is_empty())
}

fn bold(text: String, is_bold: bool) -> String {
    if is_bold { format!("**{text}**") } else { text }
}
