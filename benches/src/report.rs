//! Figures: what all rounds of all scenarios gave, whether that is what was wanted, and how it is told.
//!
//! The JSON file is the report itself, so that tables and pictures can be made from it again.

mod html;
mod markdown;
mod method;
mod plot;
mod remark;
mod row;
mod section;
mod settings;
mod spread;
mod svg;
mod table;
mod timeline;
mod verdict;

pub(crate) use row::Row;
pub(crate) use section::{Doubt, Section};
pub(crate) use settings::Settings;
pub(crate) use spread::Spread;
pub(crate) use timeline::{Moment, Timeline};
pub(crate) use verdict::{Outcome, Verdict};

use crate::cli::{CompareArgs, FilesArgs, ReportArgs};
use crate::fault::{During, Fault};
use crate::machine::Machine;
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

    /// All rows of all sections.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
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
        for row in self.rows() {
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
