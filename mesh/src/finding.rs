//! Something wrong or doubtful in the config, told like a compiler tells it.

use std::path::PathBuf;

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Something is not in force: `check` exits 1.
    Error,
    /// Doubtful.
    Warning,
}

/// A place in a file, 1-based.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// File.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// `HTTPRoute default/reviews`, when an object is concerned.
    pub object: Option<String>,
    /// `spec.rules[0].matches[1].path.value`, when a field is.
    pub field: Option<String>,
    /// Where, when it came from a file.
    pub place: Option<Place>,
    /// What was expected, what was found, what to do.
    pub message: String,
}
