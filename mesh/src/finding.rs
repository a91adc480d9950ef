//! Something wrong or doubtful in the config, told like a compiler tells it.

use serde_json::{Value, json};
use std::fmt;
use std::path::PathBuf;

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Something is not in force: `check` exits 1.
    Error,
    /// Doubtful.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in a file, 1-based.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

impl Finding {
    /// The finding as `check --format json` and the admin page give it. Absent parts are left out.
    pub fn to_json(&self) -> Value {
        let mut out = serde_json::Map::new();
        out.insert("severity".to_owned(), json!(self.severity.as_str()));
        if let Some(place) = &self.place {
            out.insert("file".to_owned(), json!(place.file.display().to_string()));
            out.insert("line".to_owned(), json!(place.line));
            out.insert("column".to_owned(), json!(place.column));
        }
        if let Some(object) = &self.object {
            out.insert("object".to_owned(), json!(object));
        }
        if let Some(field) = &self.field {
            out.insert("field".to_owned(), json!(field));
        }
        out.insert("message".to_owned(), json!(self.message));
        Value::Object(out)
    }

    /// Files in order, lines in order; findings without a place last.
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |f: &Self| {
            (
                f.place.is_none(),
                f.place.clone(),
                f.severity,
                f.object.clone(),
                f.field.clone(),
            )
        };
        key(self)
            .cmp(&key(other))
            .then_with(|| self.message.cmp(&other.message))
    }
}

/// `path:line:col: error: HTTPRoute default/x: spec.rules[0]: message`, without the parts that are not known.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}:{}: ", place.file.display(), place.line, place.column)?;
        }
        write!(f, "{}: ", self.severity.as_str())?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}
