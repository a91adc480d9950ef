//! Reading one JSON object field by field: what is not as expected becomes a problem with a path, the rest is kept.
//!
//! Derived deserialisers give up a whole object for one bad value; a waypoint must not stop serving nine good rules
//! for the tenth.

use authz::Problem;
use routing::RegexRoom;
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// Problems kept for one object; more of them help nobody.
const MAX_PROBLEMS: usize = 50;

/// Where the problems of one object are collected.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    all: RefCell<Vec<Problem>>,
    /// For the regular expressions of the object.
    pub(crate) regex_room: RegexRoom,
}

impl Problems {
    /// Of an object whose regular expressions may take so many bytes.
    pub(crate) fn within(regex_bytes: usize) -> Self {
        Self {
            all: RefCell::default(),
            regex_room: RegexRoom::within(regex_bytes),
        }
    }
    /// Something is wrong here and not in force.
    pub(crate) fn error(&self, at: &At<'_>, message: impl Into<String>) {
        self.push(at.to_string(), message.into(), true);
    }
    /// Something is doubtful here.
    pub(crate) fn warning(&self, at: &At<'_>, message: impl Into<String>) {
        self.push(at.to_string(), message.into(), false);
    }
    /// What another parser found.
    pub(crate) fn extend(&self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            self.push(problem.field, problem.message, problem.error);
        }
    }
    /// All of them.
    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.all.into_inner()
    }
    fn push(&self, field: String, message: String, error: bool) {
        let mut all = self.all.borrow_mut();
        match all.len() {
            n if n < MAX_PROBLEMS => all.push(Problem { field, message, error }),
            MAX_PROBLEMS => {
                let message = "more is wrong with this object: not told".to_owned();
                all.push(Problem {
                    field: String::new(),
                    message,
                    error: true,
                });
            }
            _ => {}
        }
    }
}

/// A path inside an object, spelt out only when a problem needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At<'p> {
    /// The object.
    Root,
    /// A field of a mapping.
    Field(&'p At<'p>, &'p str),
    /// An item of a list.
    Index(&'p At<'p>, usize),
}

impl<'p> At<'p> {
    /// The field below.
    pub(crate) fn field(&'p self, name: &'p str) -> Self {
        At::Field(self, name)
    }
    /// Which item of its list this is.
    pub(crate) fn position(&self) -> usize {
        match self {
            At::Index(_, index) => *index,
            _ => 0,
        }
    }
    /// The item below.
    pub(crate) fn index(&'p self, index: usize) -> Self {
        At::Index(self, index)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Root => Ok(()),
            At::Field(parent, name) if name.contains(['.', '[', ']', '"']) => write!(f, "{parent}[\"{name}\"]"),
            At::Field(At::Root, name) => f.write_str(name),
            At::Field(parent, name) => write!(f, "{parent}.{name}"),
            At::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A mapping that is being read.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: &'a At<'a>,
    problems: &'a Problems,
    known: RefCell<Vec<&'static str>>,
    open: Cell<bool>,
    /// An error was told of a field here: reading may have ended early, and the rest is not known to be unknown.
    faulty: Cell<bool>,
}

impl<'a> Fields<'a> {
    /// Opens a mapping. `None` and a problem when it is none. What [`Fields::close`] finds unread is a problem.
    pub(crate) fn of(value: &'a Value, at: &'a At<'a>, problems: &'a Problems) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self {
                map,
                at,
                problems,
                known: RefCell::new(Vec::new()),
                open: Cell::new(false),
                faulty: Cell::new(false),
            }),
            other => {
                problems.error(at, format!("expected a mapping, found {}", describe(other)));
                None
            }
        }
    }

    /// Where this mapping stands.
    pub(crate) fn at(&self) -> &'a At<'a> {
        self.at
    }

    /// Where regular expressions of this object are compiled.
    pub(crate) fn regex_room(&self) -> &'a RegexRoom {
        &self.problems.regex_room
    }

    /// A problem of a field of this mapping.
    pub(crate) fn error(&self, name: &str, message: impl Into<String>) {
        self.faulty.set(true);
        self.problems.error(&self.at.field(name), message);
    }

    /// A doubt about a field of this mapping.
    pub(crate) fn warning(&self, name: &str, message: impl Into<String>) {
        self.problems.warning(&self.at.field(name), message);
    }

    /// The raw value of a field; null counts as absent.
    pub(crate) fn get(&self, name: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().push(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Fields that the API has and that are of no concern here.
    pub(crate) fn ignore(&self, names: &[&'static str]) {
        self.known.borrow_mut().extend_from_slice(names);
    }

    /// Fields unknown here may stand in this mapping.
    pub(crate) fn leave_open(&self) {
        self.open.set(true);
    }

    /// A text.
    pub(crate) fn text(&self, name: &'static str) -> Option<&'a str> {
        match self.get(name)? {
            Value::String(text) => Some(text),
            other => {
                let quote = if other.is_number() || other.is_boolean() {
                    ": put it in quotes"
                } else {
                    ""
                };
                self.error(name, format!("expected text, found {}{quote}", describe(other)));
                None
            }
        }
    }

    /// A text that must be there and not be empty.
    pub(crate) fn required(&self, name: &'static str) -> Option<&'a str> {
        if self.get(name).is_none() {
            self.error(name, format!("`{name}` is missing: it must be given"));
            return None;
        }
        let text = self.text(name)?;
        if text.is_empty() {
            self.error(name, "expected a text, found an empty one");
            return None;
        }
        Some(text)
    }

    /// A whole number within a range.
    pub(crate) fn integer(&self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.get(name)?;
        // 1.0 is a whole number in JSON.
        #[allow(clippy::cast_possible_truncation)]
        let whole = value.as_i64().or_else(|| {
            value
                .as_f64()
                .filter(|n| n.fract() == 0.0 && n.abs() < 1e15)
                .map(|n| n as i64)
        });
        match whole {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let (low, high) = (range.start(), range.end());
                self.error(
                    name,
                    format!(
                        "expected a whole number from {low} to {high}, found {}",
                        describe(value)
                    ),
                );
                None
            }
        }
    }

    /// A port.
    pub(crate) fn port(&self, name: &'static str) -> Option<u16> {
        self.integer(name, 1..=65535).and_then(|port| u16::try_from(port).ok())
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, name: &'static str) -> Option<bool> {
        match self.get(name)? {
            Value::Bool(value) => Some(*value),
            other => {
                self.error(name, format!("expected true or false, found {}", describe(other)));
                None
            }
        }
    }

    /// The items of a list; absent is empty. `item` returns `None` for what it could not read.
    /// `most` is what the API server admits: more is a doubt, and served (the size of a file bounds it).
    pub(crate) fn list<T>(
        &self,
        name: &'static str,
        most: usize,
        mut item: impl FnMut(&'a Value, &At<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let at = self.at.field(name);
        let Value::Array(items) = value else {
            self.problems
                .error(&at, format!("expected a list, found {}", describe(value)));
            return Vec::new();
        };
        if items.len() > most {
            let found = items.len();
            self.problems.warning(
                &at,
                format!("expected at most {most} items, found {found}: the API server refuses more"),
            );
        }
        let items = items.iter().enumerate();
        let mut read: Vec<T> = items
            .filter_map(|(index, value)| item(value, &at.index(index)))
            .collect();
        // Kept as long as the object: most lists have one or two items.
        read.shrink_to_fit();
        read
    }

    /// As [`Fields::list`], of which no more than `most` are read: what follows is an error.
    pub(crate) fn bounded_list<T>(
        &self,
        name: &'static str,
        most: usize,
        mut item: impl FnMut(&'a Value, &At<'_>) -> Option<T>,
    ) -> Vec<T> {
        let found = self.get(name).and_then(Value::as_array).map_or(0, Vec::len);
        if found > most {
            let message = format!("expected at most {most} items, found {found}: those beyond are not in force");
            self.error(name, message);
        }
        self.list(name, usize::MAX, |value, at| {
            if at.position() < most { item(value, at) } else { None }
        })
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &'static str, most: usize) -> Vec<&'a str> {
        self.list(name, most, |value, at| match value {
            Value::String(text) => Some(text.as_str()),
            other => {
                self.problems
                    .error(at, format!("expected text, found {}", describe(other)));
                None
            }
        })
    }

    /// The fields of a mapping below whose names are anything; absent is empty. `item` returns `None` for what it could
    /// not read.
    pub(crate) fn entries<T>(
        &self,
        name: &'static str,
        mut item: impl FnMut(&'a str, &'a Value, &At<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let at = self.at.field(name);
        let Value::Object(map) = value else {
            self.error(name, format!("expected a mapping, found {}", describe(value)));
            return Vec::new();
        };
        map.iter()
            .filter_map(|(key, value)| item(key, value, &at.field(key)))
            .collect()
    }

    /// A mapping below.
    pub(crate) fn record<T>(&self, name: &'static str, read: impl FnOnce(&Fields<'_>) -> T) -> Option<T> {
        let value = self.get(name)?;
        let at = self.at.field(name);
        let Some(fields) = Fields::of(value, &at, self.problems) else {
            self.faulty.set(true);
            return None;
        };
        let read = read(&fields);
        fields.close();
        Some(read)
    }

    /// Texts by name (labels, annotations).
    pub(crate) fn text_map(&self, name: &'static str) -> BTreeMap<String, String> {
        let Some(value) = self.get(name) else {
            return BTreeMap::new();
        };
        let at = self.at.field(name);
        let Some(fields) = Fields::of(value, &at, self.problems) else {
            return BTreeMap::new();
        };
        let texts = fields.map.iter().filter_map(|(key, value)| match value {
            Value::String(text) => Some((key.clone(), text.clone())),
            other => {
                self.problems.error(
                    &at.field(key),
                    format!("expected text, found {}: put it in quotes", describe(other)),
                );
                None
            }
        });
        texts.collect()
    }

    /// This mapping as names and per cents.
    pub(crate) fn percents(&self) -> Vec<(String, u32)> {
        self.leave_open();
        let read = self.map.iter().filter_map(|(name, value)| {
            let percent = value.as_u64().filter(|percent| *percent <= 100);
            if percent.is_none() {
                let message = format!("expected a whole number from 0 to 100, found {}", describe(value));
                self.problems.error(&self.at.field(name), message);
            }
            Some((name.clone(), u32::try_from(percent?).ok()?))
        });
        read.collect()
    }

    /// Reports what was not read.
    pub(crate) fn close(&self) {
        if self.open.get() || self.faulty.get() {
            return;
        }
        let known = self.known.borrow();
        for name in self.map.keys().filter(|name| !known.contains(&name.as_str())) {
            let hint = nearest(name, &known)
                .map(|near| format!(": did you mean `{near}`?"))
                .unwrap_or_default();
            self.error(name, format!("unknown field `{name}`{hint}"));
        }
    }
}

/// Reads a value as a mapping.
pub(crate) fn record<T>(
    value: &Value,
    at: &At<'_>,
    problems: &Problems,
    read: impl FnOnce(&Fields<'_>) -> T,
) -> Option<T> {
    let fields = Fields::of(value, at, problems)?;
    let read = read(&fields);
    fields.close();
    Some(read)
}

/// What stands there, in a few words.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => format!("{number}"),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// A text from a manifest as a message may show it: quoted, escaped, not endless.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?} and more", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// One of `words`, told apart by case or by at most two letters.
fn nearest<'w>(name: &str, words: &[&'w str]) -> Option<&'w str> {
    if name.len() > 64 {
        return None;
    }
    let alike = |word: &&&str| word.eq_ignore_ascii_case(name) || (word.len() > 4 && distance(word, name) <= 2);
    words.iter().find(alike).copied()
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, pair) in b.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
