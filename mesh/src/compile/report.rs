//! Findings while they are collected: each keeps where its object was read, so that the file layer can find the line.

use crate::Resources;
use crate::finding::{Finding, Place, Severity};
use crate::object::{Object, Origin};
use authz::Problem;

/// Findings of one compile; more of them help nobody.
const MAX_FINDINGS: usize = 10_000;

/// A finding, and the object's origin.
#[derive(Debug)]
pub(crate) struct Raised {
    /// Placed where the object's document begins.
    pub(crate) finding: Finding,
    /// Where the object was read.
    pub(crate) origin: Option<Origin>,
}

/// The collector.
#[derive(Debug, Default)]
pub(crate) struct Report {
    raised: Vec<Raised>,
    left_out: usize,
}

impl Report {
    /// Begins with what the reader found.
    pub(crate) fn of(resources: &Resources) -> Self {
        let mut report = Self::default();
        for finding in &resources.unread {
            report.push(Raised {
                finding: finding.clone(),
                origin: None,
            });
        }
        for bad in &resources.bad {
            report.raise(bad.object.clone(), bad.origin.as_ref(), &bad.problem);
        }
        report
    }

    /// Something of an object is not in force.
    pub(crate) fn error(&mut self, object: &Object, field: impl Into<String>, message: impl Into<String>) {
        self.problem(
            object,
            &Problem {
                field: field.into(),
                message: message.into(),
                error: true,
            },
        );
    }

    /// Something of an object is doubtful.
    pub(crate) fn warning(&mut self, object: &Object, field: impl Into<String>, message: impl Into<String>) {
        self.problem(
            object,
            &Problem {
                field: field.into(),
                message: message.into(),
                error: false,
            },
        );
    }

    /// What a parser found.
    pub(crate) fn problems(&mut self, object: &Object, problems: &[Problem]) {
        for problem in problems {
            self.problem(object, problem);
        }
    }

    /// Something that concerns no object.
    pub(crate) fn general(&mut self, severity: Severity, message: String) {
        let finding = Finding {
            severity,
            object: None,
            field: None,
            place: None,
            message,
        };
        self.push(Raised { finding, origin: None });
    }

    /// Where an object was read.
    pub(crate) fn place_of(object: &Object) -> Option<Place> {
        object.origin.as_ref().map(coarse)
    }

    /// All of them.
    pub(crate) fn finish(mut self) -> Vec<Raised> {
        if self.left_out > 0 {
            let message = format!("{} more findings are not told", self.left_out);
            let finding = Finding {
                severity: Severity::Error,
                object: None,
                field: None,
                place: None,
                message,
            };
            self.raised.push(Raised { finding, origin: None });
        }
        self.raised
    }

    fn problem(&mut self, object: &Object, problem: &Problem) {
        self.raise(Some(object.to_string()), object.origin.as_ref(), problem);
    }

    fn raise(&mut self, object: Option<String>, origin: Option<&Origin>, problem: &Problem) {
        let finding = Finding {
            severity: if problem.error {
                Severity::Error
            } else {
                Severity::Warning
            },
            object,
            field: Some(problem.field.clone()).filter(|field| !field.is_empty()),
            place: origin.map(coarse),
            message: one_line(&problem.message),
        };
        self.push(Raised {
            finding,
            origin: origin.cloned(),
        });
    }

    fn push(&mut self, raised: Raised) {
        if self.raised.len() < MAX_FINDINGS {
            self.raised.push(raised);
        } else {
            self.left_out += 1;
        }
    }
}

/// Findings are lines of a log: what a manifest says must not begin another one.
fn one_line(message: &str) -> String {
    if message.contains(char::is_control) {
        message.replace(char::is_control, " ")
    } else {
        message.to_owned()
    }
}

fn coarse(origin: &Origin) -> Place {
    Place {
        file: origin.file.path.clone(),
        line: origin.line,
        column: origin.column,
    }
}
