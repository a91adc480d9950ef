//! One scenario of a report: its subjects, what was wanted, and what became of that.

use super::remark::Remark;
use super::{Moment, Row, Spread, Verdict, table};
use crate::figure::{Figure, Goal};
use crate::subject::{ENVOY, WAYPOINT};
use serde::{Deserialize, Serialize};

/// One scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) goals: Vec<Goal>,
    pub(crate) rows: Vec<Row>,
    /// Second by second, of a load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) timeline: Vec<Moment>,
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

impl Section {
    /// Nothing measured yet.
    pub(crate) fn new(name: &str, about: &str, goals: Vec<Goal>) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            goals,
            rows: Vec::new(),
            timeline: Vec::new(),
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
    pub(super) fn remarks(&self) -> Vec<Remark> {
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
    pub(super) fn about_short(&self) -> String {
        self.about.split(": ").next().unwrap_or_default().to_owned()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.fault.is_some() || self.rows.iter().any(|row| !row.failures.is_empty())
    }
}
