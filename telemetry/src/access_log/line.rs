//! One line of the access log.
//!
//! Everything a peer can influence is escaped so that it stays inside its field: within quotes `"` and `\` get a
//! backslash and whatever is not printable ASCII becomes `\xNN`; outside of quotes a space becomes `_`, as in Envoy.

use crate::{Outcome, TcpOutcome};
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Istio's default text format.
pub(super) fn text(outcome: &Outcome<'_>) -> String {
    let mut line = String::with_capacity(512 + outcome.path.len());
    let last = outcome.tries.last();
    // Writing to a String cannot fail.
    let _ = write!(line, "[{}] \"", Timestamp(outcome.start));
    escape(&mut line, outcome.method);
    line.push(' ');
    push_path(&mut line, outcome.path);
    line.push(' ');
    line.push_str(outcome.http_version);
    let _ = write!(line, "\" {} ", outcome.status);
    bare(&mut line, outcome.flags);
    line.push(' ');
    bare(&mut line, outcome.details);
    line.push_str(" - ");
    quoted(&mut line, last.and_then(|last| last.error));
    let millis = outcome.duration.as_millis();
    let _ = write!(line, " {} {} {millis} ", outcome.request_bytes, outcome.response_bytes);
    optional(&mut line, upstream_millis(outcome));
    for field in [
        outcome.forwarded_for,
        outcome.user_agent,
        outcome.request_id,
        Some(outcome.authority),
    ] {
        line.push(' ');
        quoted(&mut line, field);
    }
    line.push_str(" \"");
    optional(&mut line, outcome.upstream_address);
    line.push_str("\" ");
    bare(&mut line, &cluster(outcome));
    let _ = write!(line, " - - {} - ", outcome.source_address);
    bare(&mut line, outcome.route.unwrap_or("default"));
    line.push('\n');
    line
}

/// Istio's JSON format: numbers where Envoy has numbers, `null` for what is missing.
pub(super) fn json(outcome: &Outcome<'_>) -> String {
    let mut line = String::with_capacity(1_024 + outcome.path.len());
    let mut object = Object { line: &mut line };
    object.text("authority", Some(outcome.authority));
    object.number("bytes_received", outcome.request_bytes);
    object.number("bytes_sent", outcome.response_bytes);
    object.text("connection_termination_details", None);
    object.text("downstream_local_address", None);
    object.text("downstream_remote_address", Some(&outcome.source_address.to_string()));
    object.number("duration", outcome.duration.as_millis());
    object.text("method", Some(outcome.method));
    let mut path = String::with_capacity(outcome.path.len());
    redact(outcome.path, |part| path.push_str(part));
    object.text("path", Some(&path));
    object.text("protocol", Some(outcome.http_version));
    object.text("request_id", outcome.request_id);
    object.text("requested_server_name", None);
    object.number("response_code", outcome.status);
    object.text(
        "response_code_details",
        Some(outcome.details).filter(|text| !text.is_empty()),
    );
    object.text(
        "response_flags",
        Some(if outcome.flags.is_empty() { "-" } else { outcome.flags }),
    );
    object.text("route_name", Some(outcome.route.unwrap_or("default")));
    object.text("start_time", Some(&Timestamp(outcome.start).to_string()));
    object.text("upstream_cluster", Some(&cluster(outcome)));
    object.text(
        "upstream_host",
        outcome.upstream_address.map(|address| address.to_string()).as_deref(),
    );
    object.text("upstream_local_address", None);
    object.text(
        "upstream_service_time",
        upstream_millis(outcome).map(|millis| millis.to_string()).as_deref(),
    );
    object.text(
        "upstream_transport_failure_reason",
        outcome.tries.last().and_then(|last| last.error),
    );
    object.text("user_agent", outcome.user_agent);
    object.text("x_forwarded_for", outcome.forwarded_for);
    line.push_str("}\n");
    line
}

/// Istio's default text format for a connection: what belongs to requests is `-`, the status 0.
pub(super) fn tcp_text(outcome: &TcpOutcome<'_>) -> String {
    let mut line = String::with_capacity(256);
    let _ = write!(line, "[{}] \"- - -\" 0 ", Timestamp(outcome.start));
    bare(&mut line, outcome.flags);
    line.push_str(" - ");
    bare(&mut line, outcome.details);
    let millis = outcome.duration.as_millis();
    let _ = write!(line, " \"-\" {} {} {millis} - ", outcome.received, outcome.sent);
    line.push_str("\"-\" \"-\" \"-\" \"-\" \"");
    optional(&mut line, outcome.upstream_address);
    line.push_str("\" ");
    bare(&mut line, &tcp_cluster(outcome));
    let _ = write!(line, " - - {} ", outcome.source_address);
    bare(&mut line, outcome.sni.unwrap_or_default());
    line.push(' ');
    bare(&mut line, outcome.route.unwrap_or_default());
    line.push('\n');
    line
}

/// The same as JSON.
pub(super) fn tcp_json(outcome: &TcpOutcome<'_>) -> String {
    let mut line = String::with_capacity(768);
    let mut object = Object { line: &mut line };
    let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
    object.text("authority", None);
    object.number("bytes_received", outcome.received);
    object.number("bytes_sent", outcome.sent);
    object.text("connection_termination_details", some(outcome.details));
    object.text("downstream_local_address", None);
    object.text("downstream_remote_address", Some(&outcome.source_address.to_string()));
    object.number("duration", outcome.duration.as_millis());
    object.text("method", None);
    object.text("path", None);
    object.text("protocol", None);
    object.text("request_id", None);
    object.text("requested_server_name", outcome.sni);
    object.number("response_code", 0);
    object.text("response_code_details", None);
    object.text("response_flags", some(outcome.flags).or(Some("-")));
    object.text("route_name", outcome.route);
    object.text("start_time", Some(&Timestamp(outcome.start).to_string()));
    object.text("upstream_cluster", Some(&tcp_cluster(outcome)));
    let upstream = outcome.upstream_address.map(|address| address.to_string());
    object.text("upstream_host", upstream.as_deref());
    object.text("upstream_local_address", None);
    object.text("upstream_service_time", None);
    object.text("upstream_transport_failure_reason", None);
    object.text("user_agent", None);
    object.text("x_forwarded_for", None);
    line.push_str("}\n");
    line
}

fn tcp_cluster(outcome: &TcpOutcome<'_>) -> String {
    format!("inbound-vip|{}|tcp|{}", outcome.port, outcome.service.host)
}

/// `inbound-vip|<port>|http|<host>`: the cluster name that Istio's waypoint has for a Service.
pub(crate) fn cluster(outcome: &Outcome<'_>) -> String {
    cluster_name(&outcome.service.host, outcome.port)
}

/// See [`cluster`].
pub(crate) fn cluster_name(host: &str, port: u16) -> String {
    format!("inbound-vip|{port}|http|{host}")
}

/// How long the last attempt took, when it was answered: `x-envoy-upstream-service-time`.
fn upstream_millis(outcome: &Outcome<'_>) -> Option<u128> {
    let last = outcome.tries.last()?;
    last.status.map(|_| last.took.as_millis())
}

fn optional(line: &mut String, value: Option<impl std::fmt::Display>) {
    let _ = match value {
        Some(value) => write!(line, "{value}"),
        None => write!(line, "-"),
    };
}

/// `"text"`, or `"-"` for none.
fn quoted(line: &mut String, text: Option<&str>) {
    line.push('"');
    match text.filter(|text| !text.is_empty()) {
        Some(text) => escape(line, text),
        None => line.push('-'),
    }
    line.push('"');
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

fn push_path(line: &mut String, path: &str) {
    if path.is_empty() {
        line.push('-');
    }
    redact(path, |part| escape(line, part));
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
        let _ = write!(self.line, "\"{key}\":");
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
