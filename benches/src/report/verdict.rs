//! What became of a goal: met, missed, or not to be told.

use super::{Row, Section, Spread};
use crate::figure::{Bound, Figure, Goal};
use crate::subject::ENVOY;

/// One goal of one scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) scenario: String,
    pub(crate) goal: Goal,
    /// Ours.
    pub(crate) own: Option<Spread>,
    /// The yardstick's.
    pub(crate) other: Option<Spread>,
    /// Ours as a share of the yardstick's.
    pub(crate) ratio: Option<Spread>,
    pub(crate) outcome: Outcome,
}

/// In a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Met,
    Missed,
    /// One of them was not measured.
    Unknown,
    /// There is no target.
    Told,
}

impl Verdict {
    pub(super) fn of(goal: Goal, section: &Section, own: Option<&Row>) -> Self {
        let figure = |row: Option<&Row>| row.and_then(|row| row.spread(goal.figure));
        let mut verdict = Self {
            scenario: section.name.clone(),
            goal,
            own: figure(own),
            other: figure(section.row(ENVOY)),
            ratio: own.and_then(|row| section.ratio(row, goal.figure)),
            outcome: Outcome::Told,
        };
        verdict.outcome = verdict.compared(1.0);
        verdict
    }

    /// Whether it is at most so many times its target. What was not measured is not within; what has no target is.
    pub(super) fn is_within(&self, factor: f64) -> bool {
        matches!(self.compared(factor), Outcome::Met | Outcome::Told)
    }

    fn compared(&self, factor: f64) -> Outcome {
        let (found, wanted) = match self.goal.bound {
            Bound::Share(share) => (self.ratio, share),
            Bound::AtMost(limit) => (self.own, limit),
            Bound::Told => return Outcome::Told,
        };
        match found {
            // As it is shown: 0.284 is 0.28.
            Some(found) if rounded(found.median, self.decimals()) <= rounded(wanted * factor, self.decimals()) => {
                Outcome::Met
            }
            Some(_) => Outcome::Missed,
            None => Outcome::Unknown,
        }
    }

    fn decimals(&self) -> usize {
        match self.goal.bound {
            Bound::Share(_) => 2,
            Bound::AtMost(_) | Bound::Told => self.goal.figure.decimals(),
        }
    }

    /// What was wanted, in words.
    pub(crate) fn target(&self) -> String {
        match self.goal.bound {
            Bound::Share(share) => share.to_string(),
            Bound::AtMost(limit) => limit.to_string(),
            Bound::Told => "-".to_owned(),
        }
    }

    /// `http1-1k: 0.16 (0.16..0.18) of envoy's CPU us/request, target 0.28: met`
    pub(crate) fn line(&self) -> String {
        let heading = Figure::heading(self.goal.figure);
        let decimals = self.decimals();
        let show = |spread: Option<Spread>| spread.map_or_else(|| "?".to_owned(), |spread| spread.show(decimals));
        let Self { scenario, outcome, .. } = self;
        match self.goal.bound {
            Bound::Share(target) => format!(
                "{scenario}: {} of {ENVOY}'s {heading}, target {target}: {}",
                show(self.ratio),
                outcome.word()
            ),
            Bound::AtMost(target) => {
                format!(
                    "{scenario}: {} {heading}, target {target}: {}",
                    show(self.own),
                    outcome.word()
                )
            }
            Bound::Told => format!("{scenario}: {} {heading}", show(self.own)),
        }
    }
}

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Unknown => "not measured",
            Self::Told => "-",
        }
    }
}

fn rounded(figure: f64, decimals: usize) -> f64 {
    let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or_default());
    (figure * scale).round() / scale
}
