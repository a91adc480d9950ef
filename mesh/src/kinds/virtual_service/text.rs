//! StringMatch: `exact`, `prefix` or `regex`.

use crate::decode::{At, Fields, Problems, record};
use crate::kinds::matches::compiled;
use routing::TextMatch;
use serde_json::Value;

/// A text's length limit, as of a header match of the Gateway API.
const MAX_BYTES: usize = 4_096;

/// Reads a field that is a StringMatch. The outer `None`: it is not there. The inner one: it is faulty.
#[allow(clippy::option_option)] // three outcomes
pub(super) fn field(fields: &Fields<'_>, name: &'static str) -> Option<Option<TextMatch>> {
    fields.get(name)?;
    Some(fields.record(name, read).flatten())
}

/// Reads an entry of a mapping or a list. Nothing, or the regular expression `*`, is anything (as in Istio).
pub(super) fn entry(value: &Value, at: &At<'_>, problems: &Problems) -> Option<TextMatch> {
    if value.is_null() {
        return Some(TextMatch::Any);
    }
    record(value, at, problems, read).flatten()
}

fn read(fields: &Fields<'_>) -> Option<TextMatch> {
    let written = ["exact", "prefix", "regex"].map(|name| (name, fields.get(name).is_some()));
    let mut written = written.into_iter().filter(|(_, is_written)| *is_written);
    let Some((name, _)) = written.next() else {
        return Some(TextMatch::Any);
    };
    if let Some((second, _)) = written.next() {
        fields.error(
            second,
            format!("expected one of them, found `{name}` too: this match is not in force"),
        );
        return None;
    }
    let text = fields.text(name)?;
    if text.len() > MAX_BYTES {
        fields.error(
            name,
            format!("expected at most {MAX_BYTES} bytes: this match is not in force"),
        );
        return None;
    }
    match name {
        "exact" => Some(TextMatch::Exact(text.into())),
        "prefix" => Some(TextMatch::Start(text.into())),
        _ if text == "*" => Some(TextMatch::Any),
        _ => compiled(fields, name, TextMatch::regex_in(text, fields.regex_room())),
    }
}
