//! What a policy says that no request can ever meet, though it is well formed. Such a policy protects less, or lets less
//! in, than its author thinks, and nothing else would tell.

use crate::address::{parse_block, parse_port};
use crate::read::{self, Attribute, Clause, Constraint, Values};
use crate::spec::Problems;
use crate::template::{Template, is_template};
use crate::text::Pattern;
use crate::{AuthorizationPolicySpec, Problem};
use request::{Authority, Mode, Path, SpiffeId};

/// What is known of the requests that a policy will judge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// How their paths are normalised.
    pub mode: Mode,
    /// The Service ports that they come to; `None`: any.
    pub ports: Option<Vec<u16>>,
    /// Whether tokens are validated there.
    pub tokens: bool,
}

/// The parts of a policy that can never match, as warnings. What [`validate`](crate::validate) reports is left out.
pub fn doubts(spec: &AuthorizationPolicySpec, traffic: &Traffic) -> Vec<Problem> {
    let mut found = Problems::default();
    for (index, value) in spec.rules.iter().flatten().enumerate() {
        let text = read::rule(value, &format!("spec.rules[{index}]"), &mut Problems::default());
        let clauses = text.from.iter().chain(&text.to).flatten();
        for clause in clauses.chain([&text.when]) {
            of_clause(clause, traffic, &mut found);
        }
    }
    found.0
}

fn of_clause(clause: &Clause, traffic: &Traffic, found: &mut Problems) {
    for constraint in &clause.constraints {
        let Constraint {
            attribute,
            values,
            not_values,
        } = constraint;
        if is_of_token(attribute) && !traffic.tokens {
            let why = "no RequestAuthentication binds there, so that no request has a token";
            for (list, consequence) in [(values, "it never matches"), (not_values, "it always holds")] {
                if !list.items.is_empty() {
                    found.warn(&list.field, format!("{why}: {consequence}"));
                }
            }
        }
        of_values(attribute, values, "it never matches", traffic, found);
        of_values(attribute, not_values, "it excludes nothing", traffic, found);
        let excluded = |(_, value): &(usize, String)| {
            let mut not = not_values.items.iter();
            not.any(|(_, not)| covers(attribute, not, value))
        };
        if !values.items.is_empty() && values.items.iter().all(excluded) {
            let message = format!("excludes all that {} names: the rule never matches so", name_of(values));
            found.warn(&not_values.field, message);
        }
    }
}

fn of_values(attribute: &Attribute, list: &Values, consequence: &str, traffic: &Traffic, found: &mut Problems) {
    for (index, text) in &list.items {
        if let Some(why) = never(attribute, text, traffic) {
            found.warn(format!("{}[{index}]", list.field), format!("{why}: {consequence}"));
        }
    }
}

/// Why no request has this value. `None`: one may.
fn never(attribute: &Attribute, text: &str, traffic: &Traffic) -> Option<String> {
    match attribute {
        Attribute::Path => path(text, traffic.mode),
        Attribute::Method => method(text),
        Attribute::Host => host(text),
        Attribute::Header(name) => match name.as_str() {
            ":method" => method(text),
            ":authority" | "host" => host(text),
            _ => None,
        },
        Attribute::Principal => principal(text),
        Attribute::Port => {
            let (ports, port) = (traffic.ports.as_ref()?, parse_port(text).ok()?);
            let known = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("no Service that this policy binds to has port {port}, but {known}");
            (!ports.contains(&port)).then(|| format!("{message} (a pod's own port is not looked at)"))
        }
        _ => None,
    }
}

fn method(text: &str) -> Option<String> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Some(format!(
            "methods are in capitals, and a request with {text:?} is refused"
        ));
    }
    (text == "CONNECT").then(|| "no request inside a tunnel is a CONNECT".to_owned())
}

fn host(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let possible = match Pattern::new(&text) {
        Pattern::Present => true,
        Pattern::Prefix(part) | Pattern::Suffix(part) => part.bytes().all(is_host_byte),
        Pattern::Exact(host) => Authority::parse(&host).is_ok_and(|authority| authority.as_str() == &*host),
    };
    (!possible).then(|| format!("expected host or host:port, found {text:?}"))
}

fn principal(text: &str) -> Option<String> {
    // One with a scheme is told of where it is compiled.
    if !matches!(Pattern::new(text), Pattern::Exact(_)) || text.starts_with("spiffe://") {
        return None;
    }
    let bad = SpiffeId::parse(&format!("spiffe://{text}")).err()?;
    let form = "<trust domain>/ns/<namespace>/sa/<service account>";
    Some(format!(
        "expected a principal of the form {form}, found {text:?} ({})",
        bad.0
    ))
}

fn path(text: &str, mode: Mode) -> Option<String> {
    if text.contains(['?', '#']) {
        return Some("a path has no query and no fragment".to_owned());
    }
    let stays = |path: &str, holds: &dyn Fn(&str) -> bool| {
        Path::normalise(path, mode).is_ok_and(|path| path.as_str() == "*" || holds(path.as_str()))
    };
    // What may stand where a pattern leaves off: whatever a part of an escape or a dot segment needs to be none.
    const AFTER: &[&str] = &["", "x", "/x", "5", "25"];
    const BEFORE: &[&str] = &["", "/", "/x", "/x/", "/%", "/%2"];
    let reachable = if is_template(text) {
        let Ok(template) = Template::new(text) else { return None };
        let one = text.replace("{**}", "x").replace("{*}", "x");
        stays(&one, &|path| template.matches(path))
    } else {
        match Pattern::new(text) {
            Pattern::Present => true,
            Pattern::Exact(exact) => stays(&exact, &|path| path == &*exact),
            Pattern::Prefix(prefix) => {
                let mut whole = AFTER.iter().map(|rest| format!("{prefix}{rest}"));
                whole.any(|whole| stays(&whole, &|path| path.starts_with(&*prefix)))
            }
            Pattern::Suffix(suffix) => {
                let mut whole = BEFORE.iter().map(|rest| format!("{rest}{suffix}"));
                whole.any(|whole| stays(&whole, &|path| path.ends_with(&*suffix)))
            }
        }
    };
    if reachable {
        return None;
    }
    let mode = match mode {
        Mode::None => "NONE",
        Mode::Base => "BASE",
        Mode::MergeSlashes => "MERGE_SLASHES",
        Mode::DecodeAndMergeSlashes => "DECODE_AND_MERGE_SLASHES",
    };
    Some(match Path::normalise(text, Mode::None) {
        Err(bad) if text.starts_with('/') || !text.starts_with('*') => format!("no path is like that ({})", bad.0),
        _ => format!("no path is like that once it is normalised ({mode})"),
    })
}

/// Does whatever matches `value` match `wider` too? False where that is not easily told.
fn covers(attribute: &Attribute, wider: &str, value: &str) -> bool {
    match attribute {
        Attribute::Principal | Attribute::Sni | Attribute::Method | Attribute::Header(_) => {
            pattern_covers(wider, value)
        }
        Attribute::Audience | Attribute::Presenter | Attribute::Claim(_) => pattern_covers(wider, value),
        Attribute::Host => pattern_covers(&wider.to_ascii_lowercase(), &value.to_ascii_lowercase()),
        Attribute::Path if is_template(wider) || is_template(value) => wider == value,
        Attribute::Path => pattern_covers(wider, value),
        Attribute::SourceIp | Attribute::RemoteIp | Attribute::DestinationIp => {
            match (parse_block(wider), parse_block(value)) {
                (Ok(wider), Ok(value)) => wider.contains(&value),
                _ => false,
            }
        }
        Attribute::Port => parse_port(wider).is_ok_and(|wider| parse_port(value) == Ok(wider)),
        _ => wider == value,
    }
}

fn pattern_covers(wider: &str, value: &str) -> bool {
    match (Pattern::new(wider), Pattern::new(value)) {
        (Pattern::Present, _) => true,
        (wider, Pattern::Exact(text)) => wider.matches(&text),
        (Pattern::Prefix(wider), Pattern::Prefix(prefix)) => prefix.starts_with(&*wider),
        (Pattern::Suffix(wider), Pattern::Suffix(suffix)) => suffix.ends_with(&*wider),
        _ => false,
    }
}

fn is_of_token(attribute: &Attribute) -> bool {
    matches!(
        attribute,
        Attribute::RequestPrincipal | Attribute::Audience | Attribute::Presenter | Attribute::Claim(_)
    )
}

/// The last part of a list's field path.
fn name_of(list: &Values) -> &str {
    list.field.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
