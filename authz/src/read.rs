//! Reads the rules of an AuthorizationPolicy from JSON, with a note wherever something was not understood.
//!
//! Nothing is dropped in silence: each place that is not as Istio's API has it becomes a problem *and* leaves
//! `understood: false` behind, so that compiling can fail closed for the policy's action.

use crate::spec::{Problems, kind_of};
use serde_json::{Map, Value};

/// An attribute that a policy may ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Principal,
    Namespace,
    ServiceAccount,
    TrustDomain,
    SourceIp,
    RemoteIp,
    RequestPrincipal,
    Audience,
    Presenter,
    /// Nested names.
    Claim(Vec<String>),
    Host,
    Port,
    Method,
    Path,
    /// Lower case; `:authority` and its like included.
    Header(String),
    DestinationIp,
    Sni,
    /// `experimental.envoy.filters.*`: metadata of Envoy's filters, of which there is none here.
    EnvoyMetadata,
}

/// A list of strings.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// Path of the list.
    pub(crate) field: String,
    /// The strings, with their place in the list.
    pub(crate) items: Vec<(usize, String)>,
    /// The field stands in the object, be it empty.
    pub(crate) written: bool,
    /// False when an entry is no text or the list is no list.
    pub(crate) understood: bool,
}

/// What one attribute must and must not be.
#[derive(Debug)]
pub(crate) struct Constraint {
    pub(crate) attribute: Attribute,
    pub(crate) values: Values,
    pub(crate) not_values: Values,
}

/// Constraints, AND: one `source`, one `operation`, or the whole of `when`.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) understood: bool,
}

/// One rule: any of `from`, any of `to`, and `when`. `None`: not written.
#[derive(Debug)]
pub(crate) struct RuleText {
    pub(crate) from: Option<Vec<Clause>>,
    pub(crate) to: Option<Vec<Clause>>,
    pub(crate) when: Clause,
    pub(crate) understood: bool,
}

const SOURCE: &[(&str, &str, Attribute)] = &[
    ("principals", "notPrincipals", Attribute::Principal),
    ("namespaces", "notNamespaces", Attribute::Namespace),
    ("serviceAccounts", "notServiceAccounts", Attribute::ServiceAccount),
    ("trustDomains", "notTrustDomains", Attribute::TrustDomain),
    ("ipBlocks", "notIpBlocks", Attribute::SourceIp),
    ("remoteIpBlocks", "notRemoteIpBlocks", Attribute::RemoteIp),
    ("requestPrincipals", "notRequestPrincipals", Attribute::RequestPrincipal),
];

const OPERATION: &[(&str, &str, Attribute)] = &[
    ("ports", "notPorts", Attribute::Port),
    ("methods", "notMethods", Attribute::Method),
    ("hosts", "notHosts", Attribute::Host),
    ("paths", "notPaths", Attribute::Path),
];

/// Reads one entry of `rules`.
pub(crate) fn rule(value: &Value, at: &str, problems: &mut Problems) -> RuleText {
    let nothing = Clause {
        constraints: Vec::new(),
        understood: true,
    };
    let Some(object) = object(value, at, problems) else {
        return RuleText {
            from: None,
            to: None,
            when: nothing,
            understood: false,
        };
    };
    let mut understood = problems.only_known(object, &["from", "to", "when"], at);
    let mut list = |name: &str| -> Option<&Vec<Value>> {
        match object.get(name)? {
            Value::Null => None,
            Value::Array(list) if list.is_empty() && name != "when" => {
                problems.error(
                    format!("{at}.{name}"),
                    "must not be empty; leave it out to match everything",
                );
                understood = false;
                None
            }
            Value::Array(list) => Some(list),
            other => {
                problems.error(
                    format!("{at}.{name}"),
                    format!("expected a list, found {}", kind_of(other)),
                );
                understood = false;
                None
            }
        }
    };
    let (from, to, when) = (list("from"), list("to"), list("when"));
    let from = from.map(|list| clauses(list, &format!("{at}.from"), "source", SOURCE, problems));
    let to = to.map(|list| clauses(list, &format!("{at}.to"), "operation", OPERATION, problems));
    let when = when.map_or(nothing, |list| conditions(list, &format!("{at}.when"), problems));
    RuleText {
        from,
        to,
        when,
        understood,
    }
}

fn clauses(
    list: &[Value],
    at: &str,
    inner: &str,
    table: &[(&str, &str, Attribute)],
    problems: &mut Problems,
) -> Vec<Clause> {
    let one = |(index, value)| clause(value, &format!("{at}[{index}]"), inner, table, problems);
    list.iter().enumerate().map(one).collect()
}

fn clause(value: &Value, at: &str, inner: &str, table: &[(&str, &str, Attribute)], problems: &mut Problems) -> Clause {
    let misread = Clause {
        constraints: Vec::new(),
        understood: false,
    };
    let Some(outer) = object(value, at, problems) else {
        return misread;
    };
    let mut understood = problems.only_known(outer, &[inner], at);
    let at = format!("{at}.{inner}");
    let Some(fields) = outer.get(inner).and_then(|value| object(value, &at, problems)) else {
        if !outer.contains_key(inner) {
            problems.error(at, "must be set");
        }
        return misread;
    };
    let known: Vec<&str> = table.iter().flat_map(|(name, negated, _)| [*name, *negated]).collect();
    understood &= problems.only_known(fields, &known, &at);
    let mut constraints = Vec::new();
    for (name, negated, attribute) in table {
        let values = strings(fields, name, &at, problems);
        let not_values = strings(fields, negated, &at, problems);
        if values.written || not_values.written {
            constraints.push(Constraint {
                attribute: attribute.clone(),
                values,
                not_values,
            });
        }
    }
    let empty = |list: &Values| list.items.is_empty() && list.understood;
    if constraints
        .iter()
        .all(|constraint| empty(&constraint.values) && empty(&constraint.not_values))
        && understood
    {
        problems.error(
            at,
            format!("must not be empty; expected at least one of {}", known.join(", ")),
        );
        understood = false;
    }
    Clause {
        constraints,
        understood,
    }
}

fn conditions(list: &[Value], at: &str, problems: &mut Problems) -> Clause {
    let mut all = Clause {
        constraints: Vec::new(),
        understood: true,
    };
    for (index, value) in list.iter().enumerate() {
        match condition(value, &format!("{at}[{index}]"), problems) {
            Some((constraint, understood)) => {
                all.understood &= understood;
                all.constraints.push(constraint);
            }
            None => all.understood = false,
        }
    }
    all
}

fn condition(value: &Value, at: &str, problems: &mut Problems) -> Option<(Constraint, bool)> {
    let fields = object(value, at, problems)?;
    let understood = problems.only_known(fields, &["key", "values", "notValues"], at);
    let key = match fields.get("key") {
        Some(Value::String(key)) if !key.is_empty() => key,
        _ => {
            problems.error(
                format!("{at}.key"),
                "expected the name of an attribute, such as request.headers[x-env]",
            );
            return None;
        }
    };
    let values = strings(fields, "values", at, problems);
    let not_values = strings(fields, "notValues", at, problems);
    if [&values, &not_values]
        .iter()
        .all(|list| list.items.is_empty() && list.understood)
    {
        problems.error(
            at,
            format!("at least one of values or notValues must be set for key {key}"),
        );
        return None;
    }
    match attribute(key) {
        Ok(attribute) => {
            if attribute == Attribute::EnvoyMetadata {
                problems.warn(
                    format!("{at}.key"),
                    "this proxy has no metadata of Envoy filters: values never match",
                );
            }
            Some((
                Constraint {
                    attribute,
                    values,
                    not_values,
                },
                understood,
            ))
        }
        Err(message) => {
            problems.error(format!("{at}.key"), message);
            None
        }
    }
}

/// The attribute that a `when` key names.
fn attribute(key: &str) -> Result<Attribute, String> {
    Ok(match key {
        "source.ip" => Attribute::SourceIp,
        "remote.ip" => Attribute::RemoteIp,
        "source.namespace" => Attribute::Namespace,
        "source.principal" => Attribute::Principal,
        "source.serviceAccount" => Attribute::ServiceAccount,
        "source.trustDomain" => Attribute::TrustDomain,
        "request.auth.principal" => Attribute::RequestPrincipal,
        "request.auth.audiences" => Attribute::Audience,
        "request.auth.presenter" => Attribute::Presenter,
        "destination.ip" => Attribute::DestinationIp,
        "destination.port" => Attribute::Port,
        "connection.sni" => Attribute::Sni,
        "destination.namespace" => return Err(format!("{key} is replaced by the policy's metadata.namespace")),
        "destination.name" | "destination.user" => return Err(format!("{key} is no longer supported")),
        _ => {
            if let Some(name) = key.strip_prefix("request.headers") {
                Attribute::Header(bracketed(name).ok_or_else(|| bad_key(key))?.to_ascii_lowercase())
            } else if let Some(names) = key.strip_prefix("request.auth.claims") {
                Attribute::Claim(nested(names).ok_or_else(|| bad_key(key))?)
            } else if key.starts_with("experimental.envoy.filters.") {
                let named = key
                    .split_once('[')
                    .is_some_and(|(_, name)| name.len() > 1 && name.ends_with(']'));
                if named {
                    Attribute::EnvoyMetadata
                } else {
                    return Err(bad_key(key));
                }
            } else if key.starts_with("destination.labels") {
                return Err(format!("{key} is replaced by what the policy is attached to"));
            } else {
                return Err(format!("unknown attribute {key}"));
            }
        }
    })
}

fn bad_key(key: &str) -> String {
    format!("bad key {key}: expected the form a[b]")
}

/// `[x]` to `x`.
fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?
        .strip_suffix(']')
        .filter(|name| !name.is_empty())
}

/// `[a][b]` to `a`, `b`; where the brackets do not pair up, all between the outermost is one name.
fn nested(text: &str) -> Option<Vec<String>> {
    let inner = bracketed(text)?;
    let names: Vec<&str> = inner.split("][").collect();
    let paired = names.iter().all(|name| !name.contains(['[', ']']));
    Some(if paired {
        names.into_iter().map(str::to_owned).collect()
    } else {
        vec![inner.to_owned()]
    })
}

fn strings(fields: &Map<String, Value>, name: &str, at: &str, problems: &mut Problems) -> Values {
    let field = format!("{at}.{name}");
    let mut out = Values {
        field,
        written: true,
        understood: true,
        items: Vec::new(),
    };
    let list = match fields.get(name) {
        Some(Value::Array(list)) => list,
        None | Some(Value::Null) => {
            out.written = false;
            return out;
        }
        Some(other) => {
            problems.error(
                &out.field,
                format!("expected a list of strings, found {}", kind_of(other)),
            );
            out.understood = false;
            return out;
        }
    };
    for (index, value) in list.iter().enumerate() {
        match value {
            Value::String(text) if !text.is_empty() => out.items.push((index, text.clone())),
            other => {
                let found = if other.is_string() {
                    "an empty one"
                } else {
                    kind_of(other)
                };
                problems.error(
                    format!("{}[{index}]", out.field),
                    format!("expected a string, found {found}"),
                );
                out.understood = false;
            }
        }
    }
    out
}

fn object<'v>(value: &'v Value, at: &str, problems: &mut Problems) -> Option<&'v Map<String, Value>> {
    let object = value.as_object();
    if object.is_none() {
        problems.error(at, format!("expected an object, found {}", kind_of(value)));
    }
    object
}

#[cfg(test)]
mod tests;
