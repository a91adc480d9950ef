//! The part of CEL that Telemetry resources use: filters of the access log, and values of tags.
//!
//! Kept: literals (text, whole numbers, true, false, `duration('1s')`), Envoy's attributes as [`attribute`] lists them,
//! `has()`, `==` `!=` `<` `<=` `>` `>=` `in`, `&&` `||` `!` `?:`, `+` for texts, `startsWith`, `endsWith`, `contains`.
//! Whatever else CEL has is refused when the config is read; nothing is parsed for a request. As in CEL a missing
//! attribute is an error, which `||` and `&&` absorb where the other side decides; a filter that ends in one logs nothing.

mod attribute;
mod parse;

pub(crate) use attribute::{Attribute, Side};

use crate::ended::Ended;
use std::borrow::Cow;
use std::time::Duration;

/// Bytes of an expression at most.
pub(crate) const MAX_EXPRESSION_BYTES: usize = 2_048;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Node);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Literal(Literal),
    Attribute(Attribute),
    Has(Attribute),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Compare(Box<Node>, Relation, Box<Node>),
    In(Box<Node>, Vec<Node>),
    Join(Vec<Node>),
    Call(Box<Node>, Method, Box<Node>),
    If(Box<(Node, Node, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Bool(bool),
    Number(i64),
    Text(String),
    Duration(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    StartsWith,
    EndsWith,
    Contains,
}

/// What an expression comes to. Values of different kinds are never equal and never ordered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Value<'v> {
    Bool(bool),
    Number(i64),
    Text(Cow<'v, str>),
    Duration(Duration),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What was expected and what was found, or what of CEL is not supported.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text).map(Self)
    }

    /// The text of an expression that is nothing but one.
    pub fn constant(&self) -> Option<&str> {
        match &self.0 {
            Node::Literal(Literal::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether it holds. What cannot be said does not.
    pub(crate) fn holds(&self, ended: &Ended<'_>) -> bool {
        self.0.value(ended) == Some(Value::Bool(true))
    }

    /// Its value as the text of a tag; `None` when it has none.
    pub(crate) fn text<'v>(&'v self, ended: &Ended<'v>) -> Option<Cow<'v, str>> {
        Some(match self.0.value(ended)? {
            Value::Text(text) => text,
            Value::Number(number) => number.to_string().into(),
            Value::Bool(is) => if is { "true" } else { "false" }.into(),
            Value::Duration(duration) => format!("{}s", duration.as_secs_f64()).into(),
        })
    }

    /// Calls `each` for every attribute in it.
    pub(crate) fn attributes(&self, mut each: impl FnMut(&Attribute)) {
        self.0.walk(&mut each);
    }
}

impl Node {
    fn value<'v>(&'v self, ended: &Ended<'v>) -> Option<Value<'v>> {
        match self {
            Self::Literal(literal) => Some(literal.value()),
            Self::Attribute(attribute) => attribute.of(ended),
            Self::Has(attribute) => Some(Value::Bool(attribute.of(ended).is_some())),
            Self::Not(inner) => match inner.value(ended)? {
                Value::Bool(is) => Some(Value::Bool(!is)),
                _ => None,
            },
            Self::All(nodes) => decide(nodes, ended, false),
            Self::Any(nodes) => decide(nodes, ended, true),
            Self::Compare(left, relation, right) => relation.holds(&left.value(ended)?, &right.value(ended)?),
            Self::In(node, list) => {
                let value = node.value(ended)?;
                let is_in = list.iter().any(|item| item.value(ended).as_ref() == Some(&value));
                Some(Value::Bool(is_in))
            }
            Self::Join(nodes) => join(nodes, ended),
            Self::Call(node, method, argument) => {
                let (Value::Text(text), Value::Text(argument)) = (node.value(ended)?, argument.value(ended)?) else {
                    return None;
                };
                Some(Value::Bool(match method {
                    Method::StartsWith => text.starts_with(&*argument),
                    Method::EndsWith => text.ends_with(&*argument),
                    Method::Contains => text.contains(&*argument),
                }))
            }
            Self::If(parts) => match parts.0.value(ended)? {
                Value::Bool(true) => parts.1.value(ended),
                Value::Bool(false) => parts.2.value(ended),
                _ => None,
            },
        }
    }

    fn walk(&self, each: &mut impl FnMut(&Attribute)) {
        match self {
            Self::Literal(_) => {}
            Self::Attribute(attribute) | Self::Has(attribute) => each(attribute),
            Self::Not(inner) => inner.walk(each),
            Self::All(nodes) | Self::Any(nodes) | Self::Join(nodes) => nodes.iter().for_each(|node| node.walk(each)),
            Self::Compare(left, _, right) | Self::Call(left, _, right) => {
                left.walk(each);
                right.walk(each);
            }
            Self::In(node, list) => {
                node.walk(each);
                list.iter().for_each(|node| node.walk(each));
            }
            Self::If(parts) => {
                let (condition, then, otherwise) = &**parts;
                [condition, then, otherwise]
                    .into_iter()
                    .for_each(|node| node.walk(each));
            }
        }
    }
}

/// `||` (`sought` true) and `&&` (`sought` false): one side that is `sought` decides, whatever the others are.
fn decide<'v>(nodes: &'v [Node], ended: &Ended<'v>, sought: bool) -> Option<Value<'v>> {
    let mut sure = true;
    for node in nodes {
        match node.value(ended) {
            Some(Value::Bool(is)) if is == sought => return Some(Value::Bool(sought)),
            Some(Value::Bool(_)) => {}
            _ => sure = false,
        }
    }
    sure.then_some(Value::Bool(!sought))
}

fn join<'v>(nodes: &'v [Node], ended: &Ended<'v>) -> Option<Value<'v>> {
    let mut joined = String::new();
    for node in nodes {
        let Value::Text(text) = node.value(ended)? else {
            return None;
        };
        joined.push_str(&text);
    }
    Some(Value::Text(joined.into()))
}

impl Literal {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(is) => Value::Bool(*is),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(text.as_str().into()),
            Self::Duration(duration) => Value::Duration(*duration),
        }
    }
}

impl Relation {
    fn holds<'v>(self, left: &Value<'_>, right: &Value<'_>) -> Option<Value<'v>> {
        if std::mem::discriminant(left) != std::mem::discriminant(right) {
            return None; // CEL has no such comparison.
        }
        let holds = match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        };
        Some(Value::Bool(holds))
    }
}

#[cfg(test)]
mod tests;
