//! One line of the access log.
//!
//! Everything a peer can influence is escaped so that it stays inside its field: within quotes `"` and `\` get a
//! backslash and whatever is not printable ASCII becomes `\xNN`; outside of quotes a space becomes `_`, as in Envoy.

use super::format::{LogFormat, Operator, Piece, Shape, Shown};
use crate::clip::clip;
use crate::ended::Ended;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The line, with its line break.
pub(super) fn render(format: &LogFormat, ended: &Ended<'_>) -> String {
    let mut line = String::with_capacity(768);
    match &format.shape {
        Shape::Text(pieces) => text(&mut line, pieces, ended),
        Shape::Json(labels) => {
            let mut object = Object { line: &mut line };
            for (key, pieces) in labels {
                json(&mut object, key, pieces, format.omit_empty, ended);
            }
            line.push_str(if line.is_empty() { "{}\n" } else { "}\n" });
        }
    }
    line
}

fn text(line: &mut String, pieces: &[Piece], ended: &Ended<'_>) {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => line.push_str(text),
            Piece::Operator {
                operator,
                quoted,
                limit,
            } => match operator.of(ended) {
                // Writing to a String cannot fail.
                Shown::Number(number) => drop(write!(line, "{number}")),
                Shown::Nothing => line.push('-'),
                Shown::Text(text) => {
                    let text = clip(&text, limit.unwrap_or(usize::MAX));
                    if operator.is_path() {
                        redact(text, |part| escape(line, part));
                    } else if *quoted {
                        escape(line, text);
                    } else {
                        bare(line, text);
                    }
                }
            },
        }
    }
}

/// A key of which the format is one operator keeps the type of its value; others are texts, with `-` for what is missing.
fn json(object: &mut Object<'_>, key: &str, pieces: &[Piece], omit_empty: bool, ended: &Ended<'_>) {
    if let [Piece::Operator { operator, limit, .. }] = pieces {
        return match operator.of(ended) {
            Shown::Number(number) => object.number(key, number),
            Shown::Nothing if omit_empty => {}
            Shown::Nothing => object.text(key, None),
            Shown::Text(text) => object.text(key, Some(&plain(operator, &text, *limit))),
        };
    }
    let mut joined = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(text) => joined.push_str(text),
            Piece::Operator { operator, limit, .. } => match operator.of(ended) {
                Shown::Number(number) => drop(write!(joined, "{number}")),
                Shown::Nothing => joined.push('-'),
                Shown::Text(text) => joined.push_str(&plain(operator, &text, *limit)),
            },
        }
    }
    object.text(key, Some(&joined));
}

fn plain(operator: &Operator, text: &str, limit: Option<usize>) -> String {
    let mut out = String::with_capacity(text.len());
    let text = clip(text, limit.unwrap_or(usize::MAX));
    if operator.is_path() {
        redact(text, |part| out.push_str(part));
    } else {
        out.push_str(text);
    }
    out
}

/// A field without quotes.
fn bare(line: &mut String, text: &str) {
    if text.is_empty() {
        line.push('-');
    }
    for piece in text.split_inclusive(' ') {
        match piece.strip_suffix(' ') {
            Some(piece) => {
                escape(line, piece);
                line.push('_');
            }
            None => escape(line, piece),
        }
    }
}

fn escape(line: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(byte));
            }
            b' '..=b'~' => line.push(char::from(byte)),
            other => {
                let _ = write!(line, "\\x{other:02x}");
            }
        }
    }
}

/// Gives the parts of `path` without the value of `access_token`: a token must not lie in a log.
fn redact(path: &str, mut part: impl FnMut(&str)) {
    const NAME: &str = "access_token=";
    let Some((before, query)) = path.split_once('?') else {
        return part(path);
    };
    part(before);
    let mut separator = "?";
    for parameter in query.split('&') {
        part(separator);
        separator = "&";
        if parameter.starts_with(NAME) {
            part(NAME);
            part("[redacted]");
        } else {
            part(parameter);
        }
    }
}

/// `2026-01-31T12:00:00.123Z`.
pub(super) struct Timestamp(pub(super) SystemTime);

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let millis = since.subsec_millis();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

/// Days since 1970 to year, month, day, counting years from March so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // From 1 March of year 0.
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// A JSON object being written, one line.
struct Object<'l> {
    line: &'l mut String,
}

impl Object<'_> {
    fn key(&mut self, key: &str) {
        self.line.push(if self.line.is_empty() { '{' } else { ',' });
        self.line.push('"');
        key.chars().for_each(|character| self.character(character));
        self.line.push_str("\":");
    }

    fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        let _ = write!(self.line, "{value}");
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        self.key(key);
        let Some(value) = value else {
            self.line.push_str("null");
            return;
        };
        self.line.push('"');
        value.chars().for_each(|character| self.character(character));
        self.line.push('"');
    }

    /// Everything but printable ASCII is escaped: some readers break lines at U+0085 or U+2028 too.
    fn character(&mut self, character: char) {
        match character {
            '"' | '\\' => {
                self.line.push('\\');
                self.line.push(character);
            }
            ' '..='~' => self.line.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(self.line, "\\u{unit:04x}");
                }
            }
        }
    }
}
