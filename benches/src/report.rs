//! Figures: what all rounds of all scenarios gave, whether that is what was wanted, and how it is told.
//!
//! The JSON file is the report itself, so that tables and pictures can be made from it again.

mod html;
mod markdown;
mod method;
mod plot;
mod remark;
mod spread;
mod svg;
mod table;
mod verdict;

pub(crate) use spread::Spread;
pub(crate) use verdict::{Outcome, Verdict};

use crate::cli::{CompareArgs, FilesArgs, ReportArgs};
use crate::fault::{During, Fault};
use crate::figure::{Figure, Goal, Sample};
use crate::load::Tally;
use crate::machine::Machine;
use crate::subject::{ENVOY, WAYPOINT};
use hdrhistogram::Histogram;
use remark::Remark;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) title: String,
    /// How it was measured, in paragraphs.
    pub(crate) notes: Vec<String>,
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) sections: Vec<Section>,
}

/// How long it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) rounds: u64,
    pub(crate) seconds: u64,
    pub(crate) warm_up: u64,
    /// What to type to get the like. Paths of this machine are left out.
    pub(crate) command: String,
}

/// One scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) goals: Vec<Goal>,
    pub(crate) rows: Vec<Row>,
    /// Figures that prove nothing on this machine.
    #[serde(default)]
    pub(crate) doubts: Vec<Doubt>,
    /// Why it is not whole.
    pub(crate) fault: Option<String>,
}

/// A figure from which nothing follows, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Doubt {
    pub(crate) figure: Figure,
    pub(crate) why: String,
}

/// A subject over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Resident when it had started, and at the end.
    pub(crate) idle_mib: Option<f64>,
    pub(crate) loaded_mib: Option<f64>,
    pub(crate) samples: Vec<Sample>,
    /// Microseconds at which this share of all rounds' requests was answered.
    pub(crate) percentiles: Vec<(f64, f64)>,
    pub(crate) failures: Vec<String>,
    /// What they were read from.
    #[serde(skip)]
    latencies: Option<Histogram<u64>>,
}

/// `report`: an earlier run's, told again.
pub(crate) fn again(args: &ReportArgs) -> Result<(), Fault> {
    let text = std::fs::read_to_string(&args.results).during(args.results.display())?;
    let report: Report = serde_json::from_str(&text).during(args.results.display())?;
    println!("{}", table::plain(&table::of(&report)));
    if let Some(file) = &args.chart {
        let chart = report.chart().during("nothing was compared: there is no chart")?;
        std::fs::write(file, chart).during(file.display())?;
    }
    report.write(&FilesArgs {
        json: None,
        pages: args.pages.clone(),
    })
}

impl Settings {
    fn of(args: &CompareArgs) -> Self {
        let mut command = format!(
            "waypoint-bench compare --scenario {} --rounds {} --seconds {} --warm-up {}",
            args.scenario.join(","),
            args.rounds,
            args.seconds,
            args.warm_up
        );
        for (flag, value) in [
            ("connections", args.connections),
            ("streams", args.streams),
            ("rate", args.rate),
            ("routes", args.routes),
            ("policy-rules", args.policy_rules),
            ("request-bytes", args.request_bytes),
            ("response-bytes", args.response_bytes),
            ("workers", Some(args.programs.workers).filter(|workers| *workers > 1)),
        ] {
            if let Some(value) = value {
                command.push_str(&format!(" --{flag} {value}"));
            }
        }
        Self {
            rounds: args.rounds,
            seconds: args.seconds,
            warm_up: args.warm_up,
            command,
        }
    }
}

/// What is told of a distribution: the tail is where proxies differ.
const PERCENTILES: [f64; 13] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0,
];

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: String::new(),
            idle_mib: None,
            loaded_mib: None,
            samples: Vec::new(),
            percentiles: Vec::new(),
            failures: Vec::new(),
            latencies: None,
        }
    }

    /// One more round.
    #[allow(clippy::cast_precision_loss)] // nanoseconds of a minute
    pub(crate) fn add(&mut self, sample: Sample, tally: Tally) -> Result<(), Fault> {
        self.samples.push(sample);
        self.failures.extend(tally.failures);
        if tally.unanswered > 0 {
            self.failures
                .push(format!("{} requests without an answer", tally.unanswered));
        }
        let all = match &mut self.latencies {
            Some(all) => {
                all.add(tally.latencies).during("adding latencies")?;
                all
            }
            none => none.insert(tally.latencies),
        };
        let at = |percent: f64| (percent, all.value_at_percentile(percent) as f64 / 1e3);
        self.percentiles = PERCENTILES.map(at).to_vec();
        Ok(())
    }

    /// A figure over the rounds; None when it was not measured.
    pub(crate) fn spread(&self, figure: Figure) -> Option<Spread> {
        let figures: Vec<f64> = self
            .samples
            .iter()
            .filter_map(|sample| sample.get(&figure).copied())
            .collect();
        (!figures.is_empty()).then(|| Spread::of(figures.into_iter()))
    }
}

impl Section {
    /// Nothing measured yet.
    pub(crate) fn new(name: &str, about: &str, goals: Vec<Goal>) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            goals,
            rows: Vec::new(),
            doubts: Vec::new(),
            fault: None,
        }
    }

    /// The row of this subject.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// A figure as a share of the yardstick's, round by round; None when one of them was not measured.
    pub(crate) fn ratio(&self, row: &Row, figure: Figure) -> Option<Spread> {
        let yardstick = self.row(ENVOY)?;
        let ratios: Vec<f64> = row
            .samples
            .iter()
            .zip(&yardstick.samples)
            .filter_map(|(own, other)| {
                let other = other.get(&figure).copied().filter(|other| *other > 0.0)?;
                Some(own.get(&figure)? / other)
            })
            .collect();
        (!ratios.is_empty()).then(|| Spread::of(ratios.into_iter()))
    }

    /// What became of its goals.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |goal: &Goal| Verdict::of(*goal, self, self.row(WAYPOINT));
        self.goals.iter().map(verdict).collect()
    }

    /// For the terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = table::plain(&table::section(self));
        for verdict in self.verdicts() {
            text.push_str(&format!("\n{}", verdict.line()));
        }
        for remark in self.remarks() {
            text.push_str(&format!("\n{remark}"));
        }
        text
    }

    /// What failed, and what is not to be believed.
    fn remarks(&self) -> Vec<Remark> {
        let doubts = self.doubts.iter().map(|doubt| {
            let figure = doubt.figure.heading();
            Remark::Doubt(format!("{figure}, not conclusive: {}", doubt.why))
        });
        let failed = self.rows.iter().flat_map(|row| {
            let failures = row.failures.iter();
            failures.map(|failure| Remark::Failure(format!("{}: {failure}", row.name)))
        });
        let fault = self.fault.iter().map(|fault| Remark::Failure(fault.clone()));
        doubts.chain(failed).chain(fault).collect()
    }

    /// What it is about, without what is the same in most.
    fn about_short(&self) -> String {
        self.about.split(": ").next().unwrap_or_default().to_owned()
    }

    fn has_failed(&self) -> bool {
        self.fault.is_some() || self.rows.iter().any(|row| !row.failures.is_empty())
    }
}

impl Report {
    /// Nothing measured yet.
    pub(crate) fn of_comparison(args: &CompareArgs) -> Self {
        Self {
            title: "The waypoint beside Envoy".to_owned(),
            notes: vec![method::of(args)],
            machine: Machine::here(),
            settings: Settings::of(args),
            sections: Vec::new(),
        }
    }

    /// A line for each row, for the terminal: for loads, which are compared with nothing.
    pub(crate) fn overview(&self) -> String {
        table::plain(&table::overview(self))
    }

    /// The chart for the README; None when nothing was compared.
    pub(crate) fn chart(&self) -> Option<String> {
        plot::shares(self)
    }

    /// Every goal of every scenario, for the terminal.
    pub(crate) fn summary(&self) -> String {
        let Machine { cores, cpu, load, .. } = &self.machine;
        format!(
            "{cores} cores of {cpu}, load average before the run {load}\n\n{}",
            table::plain(&table::summary(self))
        )
    }

    /// What ran, each once.
    pub(crate) fn versions(&self) -> Vec<(&str, &str)> {
        let mut versions = Vec::new();
        for row in self.sections.iter().flat_map(|section| &section.rows) {
            let version = (row.name.as_str(), row.version.as_str());
            if !row.version.is_empty() && !versions.contains(&version) {
                versions.push(version);
            }
        }
        versions
    }

    /// The files that were asked for.
    pub(crate) fn write(&self, files: &FilesArgs) -> Result<(), Fault> {
        let put = |file: &Path, text: String| std::fs::write(file, text).during(file.display());
        if let Some(file) = &files.json {
            put(file, self.json()?)?;
        }
        if let Some(file) = &files.pages.markdown {
            let before = match std::fs::read_to_string(file) {
                Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                read => read.during(file.display())?,
            };
            put(file, markdown::replace(&before, self))?;
        }
        if let Some(file) = &files.pages.html {
            put(file, html::render(self))?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> Result<String, Fault> {
        let text = serde_json::to_string_pretty(self).during("the report as JSON")?;
        Ok(format!("{text}\n"))
    }

    /// 0, or 1 when requests failed or a figure of ours is more than `gate` times its target.
    pub(crate) fn verdict(&self, gate: Option<f64>) -> ExitCode {
        if self.sections.iter().any(Section::has_failed) {
            return ExitCode::FAILURE;
        }
        let Some(gate) = gate else {
            return ExitCode::SUCCESS;
        };
        let verdicts = self.sections.iter().flat_map(Section::verdicts);
        let beyond: Vec<_> = verdicts.filter(|verdict| !verdict.is_within(gate)).collect();
        for verdict in &beyond {
            println!("gate, {gate} times the target: MISSED by {}", verdict.line());
        }
        if beyond.is_empty() {
            println!("gate, {gate} times the target: kept");
            return ExitCode::SUCCESS;
        }
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests;
