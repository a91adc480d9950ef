//! What a rule or a backendRef does to a request, in words: one line for each filter.

use request::{Head, is_secret, shown};
use routing::{Filters, HeaderModifier, PathTooLong, Rule, SessionCarrier};

/// One line for each filter, in the order in which they are applied.
pub(crate) fn of(filters: &Filters, head: &Head, prefix: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    if filters.cors.is_some() {
        lines.push("CORS: preflights are answered, origins are checked".to_owned());
    }
    if let Some(auth) = &filters.external_auth {
        lines.push(format!("external authorisation by {}", auth.name));
    }
    if let Some(fault) = &filters.fault {
        if let Some((delay, share)) = &fault.delay {
            lines.push(format!(
                "fault: {delay:?} delay for {}/{}",
                share.numerator, share.denominator
            ));
        }
        if let Some((abort, share)) = &fault.abort {
            lines.push(format!(
                "fault: {abort:?} for {}/{}",
                share.numerator, share.denominator
            ));
        }
    }
    if let Some(redirect) = &filters.redirect {
        lines.push(format!("redirect with {}", redirect.status));
    }
    if let Some(response) = &filters.direct_response {
        lines.push(format!("answer with {}", response.status));
    }
    if let Some(modifier) = &filters.request_headers {
        lines.extend(headers("request", modifier));
    }
    if let Some(rewrite) = &filters.rewrite {
        if let Some(host) = &rewrite.hostname {
            lines.push(format!(
                "rewrite: host becomes {}",
                shown(&String::from_utf8_lossy(host.0.as_bytes()))
            ));
        }
        match rewrite.path_and_query(head, prefix) {
            Ok(None) => {}
            // The query stays as it is, and may hold a token.
            Ok(Some(target)) => {
                let path = target.split('?').next().unwrap_or_default();
                lines.push(format!("rewrite: path becomes {}", shown(path)));
            }
            Err(PathTooLong) => lines.push("rewrite: the path becomes too long, and the answer is 400".to_owned()),
        }
    }
    for mirror in &filters.mirrors {
        let share = format!("{}/{}", mirror.numerator, mirror.denominator);
        lines.push(match mirror.cluster {
            Some(_) if mirror.numerator == mirror.denominator => "mirror: every request".to_owned(),
            Some(_) => format!("mirror: {share} of the requests"),
            None => "mirror: its reference leads nowhere".to_owned(),
        });
    }
    if let Some(modifier) = &filters.response_headers {
        lines.extend(headers("response", modifier));
    }
    lines
}

/// How often, and after what, the rule tries again.
pub(crate) fn retries(rule: &Rule) -> String {
    let mut text = match &rule.retry {
        None => "up to 2, where nothing was processed".to_owned(),
        Some(retry) if retry.attempts == 0 => "none".to_owned(),
        Some(retry) if retry.codes.is_empty() => format!("up to {}", retry.attempts),
        Some(retry) => {
            let codes: Vec<String> = retry.codes.iter().map(u16::to_string).collect();
            format!("up to {}, also after {}", retry.attempts, codes.join(", "))
        }
    };
    let session = rule.sessions.as_ref().and_then(|sessions| sessions.rule.as_ref());
    if let Some(session) = session {
        text.push_str("; sessions persist by ");
        text.push_str(&match &session.carrier {
            SessionCarrier::Cookie { name, .. } => format!("cookie {name}"),
            SessionCarrier::Header(name) => format!("header {name}"),
        });
    }
    text
}

fn headers(of: &str, modifier: &HeaderModifier) -> Vec<String> {
    let value = |name: &http::HeaderName, value: &http::HeaderValue| match is_secret(name) {
        true => "a value (not shown)".to_owned(),
        false => shown(&String::from_utf8_lossy(value.as_bytes())),
    };
    let removed = modifier
        .remove
        .iter()
        .map(|name| format!("{of} header {name} is removed"));
    let set = modifier
        .set
        .iter()
        .map(|(name, text)| format!("{of} header {name} becomes {}", value(name, text)));
    let added = modifier
        .add
        .iter()
        .map(|(name, text)| format!("{of} header {name} gets {}", value(name, text)));
    removed.chain(set).chain(added).collect()
}
