//! YAML text -> JSON values, one per document, with the place of every node; within budgets, so that no file can
//! exhaust the process.
//!
//! Values and places are read apart: values each time a file changes, places only when a finding needs one.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Error, Options, Spanned};
use std::fmt;

/// Documents in one file. A `kind: List` counts as one.
const MAX_DOCUMENTS: usize = 50_000;
/// Nested mappings and lists. Kubernetes objects stay below 20.
const MAX_DEPTH: usize = 64;
/// See [`on_deep_stack`].
const STACK_BYTES: usize = 16 << 20;
/// Mappings, lists and scalars in one file, aliases expanded.
const MAX_NODES: usize = 4_000_000;
/// Bytes of scalar text in one file, aliases expanded.
const MAX_SCALAR_BYTES: usize = 16 << 20;
/// `*alias` nodes in one file.
const MAX_ALIASES: usize = 10_000;
/// Nodes that aliases may stand for in one file, all together.
const MAX_ALIAS_NODES: usize = 50_000;

/// One document that is not empty.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its root.
    pub(crate) value: Value,
    /// Line of the root, from 1.
    pub(crate) line: u32,
    /// Column of the root, from 1.
    pub(crate) column: u32,
}

/// Why a file is no YAML, or too much of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadYaml {
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column, from 1.
    pub(crate) column: u32,
    /// What is wrong.
    pub(crate) message: String,
}

/// Reads all documents of a file.
///
/// # Errors
/// The first thing that is no YAML, or the limit that was passed; nothing of such a file is used.
pub(crate) fn documents(text: &str) -> Result<Vec<Document>, BadYaml> {
    let read: Vec<Spanned<Value>> = serde_saphyr::from_multiple_with_options(text, options()).map_err(bad)?;
    let documents = read
        .into_iter()
        .filter(|document| !document.value.is_null())
        .map(|document| {
            let (line, column) = position(&document.referenced);
            Document {
                value: document.value,
                line,
                column,
            }
        });
    Ok(documents.collect())
}

/// The one document of a text, for whoever is given YAML inside another object; nothing is `null`.
///
/// # Errors
/// `line:column: message`.
pub fn one_document(text: &str) -> Result<Value, String> {
    let told = |bad: BadYaml| format!("{}:{}: {}", bad.line, bad.column, bad.message);
    let read = on_deep_stack(|| documents(text)).map_err(|error| error.to_string())?;
    let mut documents = read.map_err(told)?;
    if documents.len() > 1 {
        return Err(format!("expected one document, found {}", documents.len()));
    }
    Ok(documents.pop().map_or(Value::Null, |document| document.value))
}

/// The places of all nodes of a file, document by document as [`documents`] gives them.
pub(crate) fn places(text: &str) -> Vec<Mark> {
    let read: Vec<Mark> = serde_saphyr::from_multiple_with_options(text, options()).unwrap_or_default();
    read.into_iter()
        .filter(|mark| !matches!(mark.node, Node::Null))
        .collect()
}

/// Runs `read` where [`MAX_DEPTH`] levels of recursion have room: unoptimised builds need 2 MiB, all that a thread has by
/// default.
///
/// # Errors
/// The thread could not be started, or `read` panicked.
pub(crate) fn on_deep_stack<T: Send>(read: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("config".to_owned())
            .stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, read)?;
        thread
            .join()
            .map_err(|_| std::io::Error::other("the reader panicked: this is a bug of ours"))
    })
}

/// A node's place and what is below it.
#[derive(Debug)]
pub(crate) struct Mark {
    line: u32,
    column: u32,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Null,
    Scalar,
    List(Vec<Mark>),
    Mapping(Vec<(String, Mark)>),
}

impl Mark {
    /// The place of the field with this path (`spec.rules[0].matches[1].path.value`), or of the nearest thing around
    /// it that was written.
    pub(crate) fn find(&self, path: &str) -> (u32, u32) {
        let mut at = self;
        for step in steps(path) {
            let next = match (&at.node, step) {
                (Node::Mapping(fields), Step::Field(name)) => {
                    fields.iter().find(|(key, _)| key == name).map(|(_, mark)| mark)
                }
                (Node::List(items), Step::Index(index)) => items.get(index),
                _ => None,
            };
            match next {
                Some(mark) => at = mark,
                None => break,
            }
        }
        (at.line, at.column)
    }

    /// The n-th item of `items`, for a `kind: List`.
    pub(crate) fn item(&self, index: usize) -> Option<&Self> {
        let Node::Mapping(fields) = &self.node else { return None };
        let (_, items) = fields.iter().find(|(key, _)| key == "items")?;
        let Node::List(items) = &items.node else { return None };
        items.get(index)
    }
}

#[derive(Debug, PartialEq)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
}

/// Splits `a.b[0]["c.d"]` into its steps.
fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let (name, after) = quoted.split_once("\"]").unwrap_or((quoted, ""));
            rest = after;
            return Some(Step::Field(name));
        }
        if let Some(bracket) = rest.strip_prefix('[') {
            let (number, after) = bracket.split_once(']').unwrap_or((bracket, ""));
            rest = after;
            return Some(number.parse().map_or(Step::Field(number), Step::Index));
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        Some(Step::Field(name))
    })
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        let (line, column) = position(&spanned.referenced);
        Ok(Self {
            line,
            column,
            node: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML node")
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, mut value)) = mapping.next_entry::<Spanned<String>, Mark>()? {
            // A mapping or list below a key begins on a later line: its key is the better place.
            if !matches!(value.node, Node::Scalar) {
                (value.line, value.column) = position(&key.referenced);
            }
            fields.push((key.value, value));
        }
        Ok(Node::Mapping(fields))
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: MAX_DOCUMENTS,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_total_scalar_bytes: MAX_SCALAR_BYTES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_recorded_anchor_events: MAX_ALIAS_NODES,
            max_recorded_anchor_bytes: MAX_SCALAR_BYTES,
            max_merge_keys: MAX_ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIAS_NODES,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: MAX_ALIASES,
        },
        // `on`, `yes`, `off`, `no` are text, as in YAML 1.2.
        strict_booleans: true,
        with_snippet: false,
    }
}

fn position(location: &serde_saphyr::Location) -> (u32, u32) {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    (number(location.line()), number(location.column()))
}

fn bad(error: Error) -> BadYaml {
    let (line, column) = error.location().as_ref().map_or((1, 1), position);
    BadYaml {
        line,
        column,
        message: in_words(error.without_snippet()),
    }
}

/// The parser's error in a user's words; its place is told once, by the finding.
fn in_words(error: &Error) -> String {
    match error {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => format!(
            "too much YAML: at most {MAX_NODES} nodes, {MAX_DEPTH} levels, {MAX_DOCUMENTS} documents and, \
             by aliases, {MAX_ALIAS_NODES} nodes more are read"
        ),
        Error::AliasError { error, .. } => in_words(error.without_snippet()),
        Error::DuplicateMappingKey { key, .. } => match key {
            Some(key) => format!("the same key twice in one mapping: {key:?}"),
            None => "the same key twice in one mapping".to_owned(),
        },
        Error::NonFiniteFloat { .. } => "expected a finite number, or a text in quotes".to_owned(),
        other => {
            let text = other.to_string();
            let text = text.split(" at line ").next().unwrap_or(&text);
            if text.contains("recursion limit") {
                format!("too deep: at most {MAX_DEPTH} levels are read")
            } else {
                text.trim_end_matches([' ', ',']).to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests;
