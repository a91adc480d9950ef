//! Figures: what one turn gave, what all rounds gave, and how that is told.

mod json;
mod markdown;
mod spread;
mod table;

use crate::cli::CompareArgs;
use crate::compare::YARDSTICK;
use crate::fault::{During, Fault};
use crate::machine::Machine;
use crate::process::Usage;
use crate::subject::Kind;
use hdrhistogram::Histogram;
use spread::Spread;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// One subject's turn in one round.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// CPU of the proxy process, microseconds a request.
    pub(crate) cpu_us: f64,
    /// How often the proxy's threads went to sleep, a request.
    pub(crate) sleeps: f64,
    /// Share of one core that the proxy used.
    pub(crate) busy: f64,
    /// CPU of the neighbours, microseconds a request.
    pub(crate) neighbours_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// A subject over all rounds.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) version: String,
    pub(crate) idle_kib: u64,
    pub(crate) loaded_kib: u64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) failures: Vec<String>,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) args: CompareArgs,
    pub(crate) rows: Vec<Row>,
}

impl Sample {
    #[allow(clippy::cast_precision_loss)] // counts and nanoseconds of seconds, far below 2^52
    pub(crate) fn new(
        took: Duration,
        requests: u64,
        cost: Usage,
        neighbours: Usage,
        latencies: &Histogram<u64>,
    ) -> Self {
        let count = requests.max(1) as f64;
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let quantile = |q| latencies.value_at_quantile(q) as f64 / 1e3;
        Self {
            requests,
            seconds: took.as_secs_f64(),
            cpu_us: micros(cost.cpu) / count,
            sleeps: cost.sleeps as f64 / count,
            busy: cost.cpu.as_secs_f64() / took.as_secs_f64(),
            neighbours_us: micros(neighbours.cpu) / count,
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
        }
    }

    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// For whoever watches.
    pub(crate) fn line(&self) -> String {
        let Self {
            cpu_us, p50_us, p99_us, ..
        } = self;
        format!(
            "{cpu_us:7.1} us CPU a request, {:7.0} requests/s, p50 {p50_us:.0} us, p99 {p99_us:.0} us",
            self.per_second()
        )
    }
}

impl Row {
    fn spread(&self, figure: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(self.samples.iter().map(figure))
    }
}

impl Report {
    /// CPU a request as a share of the yardstick's, round by round; None when one of them was not measured.
    fn ratio(&self, row: &Row) -> Option<Spread> {
        let yardstick = self.rows.iter().find(|row| row.kind == YARDSTICK)?;
        let ratios = row
            .samples
            .iter()
            .zip(&yardstick.samples)
            .map(|(own, other)| own.cpu_us / other.cpu_us);
        Some(Spread::of(ratios)).filter(|_| !row.samples.is_empty())
    }

    /// For the terminal.
    pub(crate) fn table(&self) -> String {
        let Machine { cores, cpu, load, .. } = &self.machine;
        let mut text = format!(
            "{cores} cores of {cpu}, load average before the run {load}\n\n{}",
            table::plain(self)
        );
        for row in &self.rows {
            for failure in &row.failures {
                text.push_str(&format!("\nFAILED {}: {failure}", row.kind.name()));
            }
        }
        text
    }

    /// The files that were asked for.
    pub(crate) fn write(&self) -> Result<(), Fault> {
        let put = |file: &Path, text: String| std::fs::write(file, text).during(file.display());
        if let Some(file) = &self.args.json {
            put(file, json::render(self))?;
        }
        if let Some(file) = &self.args.markdown {
            let before = match std::fs::read_to_string(file) {
                Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                read => read.during(file.display())?,
            };
            put(file, markdown::replace(&before, self))?;
        }
        Ok(())
    }

    /// 0, or 1 when requests failed or the gate was missed.
    pub(crate) fn verdict(&self) -> ExitCode {
        if self.rows.iter().any(|row| !row.failures.is_empty()) {
            return ExitCode::FAILURE;
        }
        let Some(gate) = self.args.gate else {
            return ExitCode::SUCCESS;
        };
        let own = self.rows.iter().find(|row| row.kind == Kind::Waypoint);
        match own.and_then(|row| self.ratio(row)) {
            Some(ratio) if ratio.median <= gate => {
                println!(
                    "gate: {:.2} of {}, at most {gate} wanted: kept",
                    ratio.median,
                    YARDSTICK.name()
                );
                ExitCode::SUCCESS
            }
            Some(ratio) => {
                println!(
                    "gate: {:.2} of {}, at most {gate} wanted: MISSED",
                    ratio.median,
                    YARDSTICK.name()
                );
                ExitCode::FAILURE
            }
            None => {
                println!("gate: needs both waypoint and {} in --only: MISSED", YARDSTICK.name());
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(test)]
mod tests;
