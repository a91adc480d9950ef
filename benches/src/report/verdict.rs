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
    /// It was measured where it proves nothing.
    Doubtful,
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
        let is_doubted = section.doubts.iter().any(|doubt| doubt.figure == goal.figure);
        verdict.outcome = match verdict.compared(1.0) {
            Outcome::Met | Outcome::Missed if is_doubted => Outcome::Doubtful,
            outcome => outcome,
        };
        verdict
    }

    /// Whether it is at most so many times its target. What was not measured is not within; what has no target is, and
    /// what proves nothing.
    pub(super) fn is_within(&self, factor: f64) -> bool {
        self.outcome == Outcome::Doubtful || matches!(self.compared(factor), Outcome::Met | Outcome::Told)
    }

    fn compared(&self, factor: f64) -> Outcome {
        let found = match self.goal.bound {
            Bound::Share(_) | Bound::ShareAtLeast(_) => self.ratio,
            Bound::AtMost(_) | Bound::AtLeast(_) => self.own,
            Bound::Told => return Outcome::Told,
        };
        let Some(found) = found else { return Outcome::Unknown };
        // As it is shown: 0.284 is 0.28.
        let shown = |figure| rounded(figure, self.decimals());
        let is_met = match self.goal.bound {
            Bound::Share(most) | Bound::AtMost(most) => shown(found.median) <= shown(most * factor),
            Bound::AtLeast(least) | Bound::ShareAtLeast(least) => shown(found.median) >= shown(least / factor),
            Bound::Told => true,
        };
        if is_met { Outcome::Met } else { Outcome::Missed }
    }

    fn decimals(&self) -> usize {
        match self.goal.bound {
            Bound::Share(_) | Bound::ShareAtLeast(_) => 2,
            Bound::AtMost(_) | Bound::AtLeast(_) | Bound::Told => self.goal.figure.decimals(),
        }
    }

    /// What was wanted, in words.
    pub(crate) fn target(&self) -> String {
        match self.goal.bound {
            Bound::Share(share) => share.to_string(),
            Bound::AtMost(limit) => format!("{limit} at most"),
            Bound::AtLeast(limit) | Bound::ShareAtLeast(limit) => format!("{limit} at least"),
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
            Bound::Share(_) | Bound::ShareAtLeast(_) => format!(
                "{scenario}: {} of {ENVOY}'s {heading}, target {}: {}",
                show(self.ratio),
                self.target(),
                outcome.word()
            ),
            Bound::AtMost(_) | Bound::AtLeast(_) => format!(
                "{scenario}: {} {heading}, target {}: {}",
                show(self.own),
                self.target(),
                outcome.word()
            ),
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
            Self::Doubtful => "not conclusive",
            Self::Told => "-",
        }
    }
}

fn rounded(figure: f64, decimals: usize) -> f64 {
    let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or_default());
    (figure * scale).round() / scale
}
