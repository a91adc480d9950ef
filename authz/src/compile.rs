//! From the rules as read to the rules as evaluated, failing closed where something was not understood.
//!
//! ALLOW: a rule with such a part is dropped, so that it allows less. DENY, AUDIT, CUSTOM: the part is left out, so
//! that the rule applies to more. Either way there is a problem to read about it.

use crate::address::{Blocks, parse_block, parse_port};
use crate::claims::{ClaimPattern, RequestPrincipal};
use crate::identity::{Namespace, ServiceAccount, TrustDomain};
use crate::policy::Action;
use crate::read::{Attribute, Clause, Constraint, RuleText, Values};
use crate::rule::{Condition, Conditions, Rule, Test};
use crate::spec::Problems;
use crate::template::{Template, has_stray_brace, is_template};
use crate::text::{Pattern, TextSet};
use crate::trust::TrustDomains;
use http::HeaderName;
use std::sync::Arc;

/// What a rule is compiled for.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) action: Action,
    /// The policy's namespace: that of a service account written without one.
    pub(crate) namespace: &'a str,
    /// `None`: not known (checking a policy by itself), so nothing is expanded.
    pub(crate) trust: Option<&'a TrustDomains>,
}

/// Part of a rule that was not understood, in an ALLOW policy: the rule must go.
struct Misread;

/// Compiles one rule; `None`: it matches nothing.
pub(crate) fn rule(text: &RuleText, context: Context<'_>, problems: &mut Problems) -> Option<Rule> {
    let mut whole = text.understood;
    let mut clause = |clause: &Clause| {
        whole &= clause.understood;
        // Go on after the first fault, to report them all.
        conditions(clause, context, problems).unwrap_or_else(|Misread| {
            whole = false;
            Conditions::new()
        })
    };
    let from: Vec<Conditions> = text.from.iter().flatten().map(&mut clause).collect();
    let to: Vec<Conditions> = text.to.iter().flatten().map(&mut clause).collect();
    let when = clause(&text.when);
    (whole || context.action != Action::Allow).then_some(Rule { from, to, when })
}

fn conditions(clause: &Clause, context: Context<'_>, problems: &mut Problems) -> Result<Conditions, Misread> {
    let mut out = Conditions::new();
    let mut dropped = false;
    for constraint in &clause.constraints {
        for (list, negated) in [(&constraint.values, false), (&constraint.not_values, true)] {
            match test(constraint, list, negated, context, problems) {
                Ok(Some(test)) => out.push(Condition {
                    negated,
                    test: Arc::new(test),
                }),
                Ok(None) => {}
                Err(Misread) => dropped = true,
            }
        }
    }
    if dropped { Err(Misread) } else { Ok(out) }
}

/// `Ok(None)`: no constraint.
fn test(
    constraint: &Constraint,
    list: &Values,
    negated: bool,
    context: Context<'_>,
    problems: &mut Problems,
) -> Result<Option<Test>, Misread> {
    let mut builder = Builder {
        list,
        problems,
        bad: !list.understood,
    };
    let test = builder.build(&constraint.attribute, context);
    let bad = builder.bad;
    match context.action {
        Action::Allow if bad => Err(Misread),
        _ if list.items.is_empty() => Ok(None),
        // Without all its values the constraint would hold for less; of `not` values, the understood ones stay.
        _ if bad && !negated => Ok(None),
        _ => Ok(Some(test)),
    }
}

/// Reads the values of one list as patterns of one attribute.
struct Builder<'a> {
    list: &'a Values,
    problems: &'a mut Problems,
    bad: bool,
}

impl Builder<'_> {
    fn build(&mut self, attribute: &Attribute, context: Context<'_>) -> Test {
        match attribute {
            Attribute::Principal => Test::Principal(self.principals(context.trust)),
            Attribute::TrustDomain => Test::TrustDomain(self.trust_domains(context.trust)),
            Attribute::Namespace => Test::Namespace(self.each(|text| Ok(Namespace::new(text)))),
            Attribute::ServiceAccount => {
                if self.list.items.len() > 16 {
                    self.problems
                        .error(&self.list.field, "may not have more than 16 values");
                }
                Test::ServiceAccount(self.each(|text| ServiceAccount::new(text, context.namespace)))
            }
            Attribute::SourceIp => Test::SourceIp(Blocks::new(self.each(parse_block))),
            Attribute::RemoteIp => Test::RemoteIp(Blocks::new(self.each(parse_block))),
            Attribute::DestinationIp => Test::DestinationIp(Blocks::new(self.each(parse_block))),
            Attribute::Port => {
                let mut ports = self.each(parse_port);
                ports.sort_unstable();
                Test::Port(ports.into())
            }
            Attribute::Sni => Test::Sni(self.texts()),
            Attribute::Method => Test::Method(self.texts()),
            Attribute::Host => Test::Host(self.lower_case_texts()),
            Attribute::Path => self.paths(),
            Attribute::Header(name) => self.header(name),
            Attribute::RequestPrincipal => Test::RequestPrincipal(self.each(|text| Ok(RequestPrincipal::new(text)))),
            Attribute::Audience => self.claim(&["aud"]),
            Attribute::Presenter => self.claim(&["azp"]),
            Attribute::Claim(path) => self.claim(path),
            Attribute::EnvoyMetadata => Test::Absent { http: false },
        }
    }

    /// Reads each value; one that cannot be read is a problem.
    fn each<T>(&mut self, read: impl Fn(&str) -> Result<T, &'static str>) -> Vec<T> {
        let mut out = Vec::with_capacity(self.list.items.len());
        for (index, text) in &self.list.items {
            match read(text) {
                Ok(value) => out.push(value),
                Err(message) => {
                    self.bad = true;
                    self.problems.error(
                        format!("{}[{index}]", self.list.field),
                        format!("{message}, found {text:?}"),
                    );
                }
            }
        }
        out
    }

    fn texts(&mut self) -> TextSet {
        TextSet::new(self.list.items.iter().map(|(_, text)| Pattern::new(text)))
    }

    fn lower_case_texts(&mut self) -> TextSet {
        TextSet::new(
            self.list
                .items
                .iter()
                .map(|(_, text)| Pattern::new(&text.to_ascii_lowercase())),
        )
    }

    fn principals(&mut self, trust: Option<&TrustDomains>) -> TextSet {
        for (index, text) in &self.list.items {
            let field = format!("{}[{index}]", self.list.field);
            if text.starts_with("spiffe://") {
                self.problems.warn(
                    &field,
                    "a principal is written without spiffe://; this one never matches",
                );
            } else if let Some(domain) = trust.and_then(|trust| trust.foreign(text)) {
                let message = format!("trust domain {domain} is neither the mesh's own nor an alias of it");
                self.problems.warn(&field, message);
            }
        }
        let written: Vec<&str> = self.list.items.iter().map(|(_, text)| text.as_str()).collect();
        match trust {
            Some(trust) => TextSet::new(trust.expand_principals(&written).iter().map(|text| Pattern::new(text))),
            None => self.texts(),
        }
    }

    fn trust_domains(&mut self, trust: Option<&TrustDomains>) -> Vec<TrustDomain> {
        let read = self.each(TrustDomain::new);
        let Some(trust) = trust else { return read };
        let written: Vec<&str> = self.list.items.iter().map(|(_, text)| text.as_str()).collect();
        trust
            .expand_trust_domains(&written)
            .iter()
            .filter_map(|text| TrustDomain::new(text).ok())
            .collect()
    }

    fn paths(&mut self) -> Test {
        enum PathPattern {
            Text(Pattern),
            Template(Template),
        }
        let read = |text: &str| {
            if has_stray_brace(text) {
                return Err("'{' and '}' are only allowed as the segments {*} and {**}");
            }
            let template = is_template(text).then(|| Template::new(text)).transpose()?;
            Ok(template.map_or_else(|| PathPattern::Text(Pattern::new(text)), PathPattern::Template))
        };
        let (mut texts, mut templates) = (Vec::new(), Vec::new());
        for pattern in self.each(read) {
            match pattern {
                PathPattern::Text(pattern) => texts.push(pattern),
                PathPattern::Template(template) => templates.push(template),
            }
        }
        Test::Path(TextSet::new(texts), templates)
    }

    fn header(&mut self, name: &str) -> Test {
        match name {
            // Hosts ignore case, so these do: the request keeps its authority in lower case.
            ":authority" | "host" => Test::Host(self.lower_case_texts()),
            ":method" => Test::Method(self.texts()),
            ":path" => Test::Target(self.texts()),
            _ => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => Test::Header(name, self.texts()),
                Err(_) => {
                    let message = format!("no request has a header named {name:?}: values never match");
                    self.problems.warn(&self.list.field, message);
                    Test::Absent { http: true }
                }
            },
        }
    }

    fn claim<S: AsRef<str>>(&mut self, path: &[S]) -> Test {
        let path = path.iter().map(|name| name.as_ref().into()).collect();
        Test::Claim(ClaimPattern {
            path,
            values: self.texts(),
        })
    }
}
