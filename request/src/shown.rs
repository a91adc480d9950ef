//! What of a request may be shown to people: explanations and live views pass through here, so that no credential ends
//! up on a screen or in a ticket.

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use std::fmt::Write;

/// Longer values are cut.
const MAX_SHOWN_CHARS: usize = 200;

/// Headers whose values are never shown: those that carry credentials, and those whose names say that they do.
pub fn is_secret(name: &HeaderName) -> bool {
    const SAID: [&str; 6] = ["api-key", "apikey", "token", "secret", "password", "credential"];
    let text = name.as_str();
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE].contains(name)
        || SAID.iter().any(|word| text.contains(word))
}

/// A value in quotes, cut at 200 characters; what has the form of a token is named and not shown.
pub fn shown(value: &str) -> String {
    if value.split([' ', ',', ';', '=', '&']).any(is_token) {
        return "a token (not shown)".to_owned();
    }
    match value.char_indices().nth(MAX_SHOWN_CHARS) {
        None => format!("{value:?}"),
        Some((end, _)) => {
            let mut text = format!("{:?}", value.get(..end).unwrap_or_default());
            // Writing to a String never fails.
            let _ = write!(text, " and {} bytes more", value.len() - end);
            text
        }
    }
}

/// The value of a header, or only that there is one.
pub fn shown_header(name: &HeaderName, value: &str) -> String {
    if is_secret(name) {
        return "another value (not shown)".to_owned();
    }
    shown(value)
}

/// A JWS or JWE in compact form: its header is JSON in base64url.
fn is_token(text: &str) -> bool {
    text.len() > 20 && text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() >= 2
}

#[cfg(test)]
mod tests;
