//! A request, step by step as [`super::super::exchange`] takes them.

use super::super::early::Early;
use super::super::exchange::{Admitted, clean, view};
use super::super::fault;
use super::super::filters::{self, Direct};
use super::super::grpc::is_grpc;
use super::super::headers as headers_of;
use super::super::http1_session::head_reason;
use super::super::reason::{Reason, policy_name};
use super::super::session::{self, Pinned};
use super::{Answer, Walk, unix_seconds};
use crate::explain::acts;
use crate::explain::report::{MOST_TOLD, MatchTold, Report, RuleTold, TokenFoundTold, TokenTold};
use crate::http1::{Limits, ServerConn};
use authz::{TokenExplanation, Verified};
use bytes::BytesMut;
use http::Version;
use http::header::{LOCATION, UPGRADE};
use request::{Head, Request};
use routing::{Abort, Backend, Filters, Match, Rule, Table};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(super) fn explain(mut walk: Walk<'_>) -> Report {
    let admitted = match admit(&mut walk) {
        Ok(admitted) => admitted,
        Err(reason) => {
            walk.report.answer = Answer::refused(&reason, false);
            return walk.report;
        }
    };
    let grpc = is_grpc(&admitted.headers);
    walk.report.request.grpc = grpc;
    let connection = walk.connection;
    let request = view(connection, &admitted);
    let port = walk.port;
    let table = port.routes(walk.asked.identity.namespace());
    walk.routes(table, &request);
    let matched = table.find(&request);
    walk.custom(&request);
    let verified = walk.token(&request);
    let claims = verified.as_ref().map(|verified| verified.claims.as_ref());
    walk.judged(port.policies.explain(&request, claims));
    match matched {
        None => walk.refuse(Reason::NoRoute),
        Some(matched) => walk.rule(matched, &admitted),
    }
    walk.finish(grpc)
}

/// Reads the head as a connection of a client is read, and parses it once.
fn admit(walk: &mut Walk<'_>) -> Result<Admitted, Reason> {
    let io = tokio::io::join(tokio::io::empty(), tokio::io::sink());
    let limits = walk.world.node.map_or_else(Limits::default, |node| node.limits);
    let mut connection = ServerConn::new(io, BytesMut::from(&*walk.asked.head), limits);
    let parts = match connection.poll_request(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Some(parts))) => parts,
        Poll::Ready(Err(error)) => return Err(head_reason(&error).unwrap_or(Reason::BadRequest("incomplete head"))),
        Poll::Ready(Ok(None)) | Poll::Pending => return Err(Reason::BadRequest("incomplete head")),
    };
    let upgrade = parts
        .headers
        .get(UPGRADE)
        .filter(|_| connection.wants_upgrade())
        .cloned();
    let framing = connection.request_framing();
    walk.report.request.has_query = parts.uri.query().is_some();
    let mode = walk.world.snapshot.settings.path_mode;
    let head = Head::parse(&parts, mode).map_err(|bad| Reason::BadRequest(bad.0))?;
    let seen = &mut walk.report.request;
    seen.path = head.path.as_str().to_owned();
    seen.authority = head.authority.as_str().to_owned();
    // What the waypoint would tell of the client's certificate is not known here.
    let topology = walk.world.snapshot.settings.topology;
    let before: Vec<_> = parts.headers.keys().cloned().collect();
    let (headers, host) = clean(parts.headers, walk.port, topology.client_cert, || None);
    let gone = before
        .into_iter()
        .filter(|name| !headers.contains_key(name) && *name != http::header::HOST);
    seen.removed_headers = gone.map(|name| name.to_string()).collect();
    Ok(Admitted {
        remote_ip: headers_of::remote_ip(&headers, walk.connection.source_ip, topology.trusted_proxies),
        framing,
        http2: parts.version == Version::HTTP_2,
        early: Early::default(),
        to_client: Vec::new(),
        method: parts.method,
        head: Arc::new(head),
        host,
        headers,
        upgrade,
        verified: None,
    })
}

impl Walk<'_> {
    fn routes(&mut self, table: &Table, request: &Request<'_>) {
        let considered = table.explain(request).considered;
        self.report.more_routes = considered.len().saturating_sub(MOST_TOLD);
        let told = considered.into_iter().take(MOST_TOLD).map(|one| MatchTold {
            what: one.what,
            lost_because: one.lost_because,
        });
        self.report.routes = told.collect();
    }

    /// Providers of CUSTOM policies: who cannot be asked denies.
    fn custom(&mut self, request: &Request<'_>) {
        let port = self.port;
        for ask in port.policies.asks(request) {
            let policy = policy_name(ask.by);
            let known = ask
                .provider
                .filter(|name| self.world.snapshot.settings.auth_providers.contains_key(*name));
            match known {
                Some(name) => self.note(format!(
                    "{name} would be asked, for {policy}; what follows is so if it allows"
                )),
                None => self.refuse(Reason::Policy(Some(policy))),
            }
        }
    }

    fn token(&mut self, request: &Request<'_>) -> Option<Verified> {
        if self.port.authn.is_empty() {
            return None;
        }
        let explained = self.port.authn.explain(request, unix_seconds(), self.world.keys);
        let told = token_told(&explained, self.world.node.is_none());
        let unknown = told.result == "unknown";
        self.report.token = Some(told);
        match explained.outcome {
            Ok(verified) => verified,
            Err(_) if unknown && self.refusal.is_none() => {
                self.undecided = true;
                self.note("policies are judged without the token");
                self.report.answer = Answer::unknown(
                    "the token's keys are fetched by the running waypoint; give them with --jwks FILE, or ask it with --live",
                );
                None
            }
            Err(error) => {
                self.refuse(Reason::Token(error));
                None
            }
        }
    }

    /// What the chosen rule does, up to the backends.
    fn rule(&mut self, matched: Match<'_>, admitted: &Admitted) {
        let rule = matched.rule;
        self.report.rule = Some(rule_told(rule, matched, admitted));
        let own = &rule.filters;
        let origin = filters::origin(own, &admitted.headers);
        if let Some(answer) = filters::preflight(own, admitted) {
            return self.answered(&answer, "a CORS preflight, answered by the waypoint");
        }
        self.filter_asks(own);
        if let Some(injected) = &own.fault {
            self.fault(injected);
        }
        let port = self.connection.destination_port;
        match filters::direct(&[own], admitted, origin.as_ref(), port, matched.prefix) {
            Err(reason) => return self.refuse(reason),
            Ok(Some(answer)) => return self.answered(&answer, "answered by the rule"),
            Ok(None) => {}
        }
        self.backends(rule, matched, admitted, origin);
    }

    fn backends(&mut self, rule: &Rule, matched: Match<'_>, admitted: &Admitted, origin: Option<http::HeaderValue>) {
        let pinned = self
            .pinned(rule, admitted)
            .map(|pinned| std::ptr::from_ref(pinned.backend));
        let total: u64 = rule.backends.iter().map(|backend| u64::from(backend.weight)).sum();
        let mut shares = Vec::new();
        for backend in &rule.backends {
            let share = match pinned {
                Some(only) => f64::from(u8::from(std::ptr::eq(only, backend))),
                None if total == 0 => 0.0,
                None => f64::from(backend.weight) / total as f64,
            };
            let own = backend_answer(self, rule, backend, matched, admitted, origin.as_ref());
            let told = self.backend_told(backend, share, &admitted.head, matched.prefix, own);
            shares.push((share, told.answer.clone()));
            self.report.backends.push(told);
        }
        shares.retain(|(share, _)| *share > 0.0);
        let Some((_, first)) = shares.first().cloned() else {
            return self.refuse(Reason::NoBackend);
        };
        if shares.iter().all(|(_, answer)| *answer == first) {
            return self.comes_to(first);
        }
        let served: f64 = shares
            .iter()
            .filter(|(_, answer)| answer.served)
            .map(|(share, _)| share)
            .sum();
        self.comes_to(Answer {
            served: served > 0.0,
            ..Answer::served(format!(
                "by the backend that is drawn: {:.0} % are served",
                served * 100.0
            ))
        });
    }

    /// Where the client's session leads: only the process that serves can read its token.
    fn pinned<'r>(&mut self, rule: &'r Rule, admitted: &Admitted) -> Option<Pinned<'r>> {
        rule.sessions.as_ref()?;
        let Some(node) = self.world.node else {
            self.note("the rule keeps sessions; a session's token can only be read by the running waypoint");
            return None;
        };
        let pinned = session::find(node, self.world.snapshot, rule, admitted)?;
        self.note(format!("the client's session leads to {}", pinned.address()));
        Some(pinned)
    }

    fn filter_asks(&mut self, filters: &Filters) {
        if let Some(auth) = &filters.external_auth {
            self.note(format!(
                "{} would be asked by a filter; what follows is so if it allows",
                auth.name
            ));
        }
    }

    fn fault(&mut self, injected: &routing::Fault) {
        // Of all random numbers, the last is taken by a share of all requests only.
        if let Some(abort) = injected.abort(u64::MAX) {
            self.refuse(fault::reason(abort));
        } else if let Some((abort, share)) = injected.abort.filter(|(_, share)| share.takes(0)) {
            let percent = 100.0 * f64::from(share.numerator) / f64::from(share.denominator);
            let with = match abort {
                Abort::Http(status) => format!("{status}"),
                Abort::Grpc(status) => format!("grpc-status {status}"),
            };
            self.note(format!("{percent} % of the requests are ended with {with} on purpose"));
        }
    }

    fn answered(&mut self, answer: &Direct, words: &str) {
        self.comes_to(direct_answer(answer, words));
    }

    /// What the client gets, unless something before refuses.
    fn comes_to(&mut self, answer: Answer) {
        if self.report.answer == Answer::default() {
            self.report.answer = answer;
        }
    }

    fn finish(mut self, grpc: bool) -> Report {
        if let Some(reason) = &self.refusal {
            self.report.answer = Answer::refused(reason, grpc);
        }
        self.report
    }
}

/// What a backend's own filters answer, before its endpoints come into it.
fn backend_answer(
    walk: &mut Walk<'_>,
    rule: &Rule,
    backend: &Backend,
    matched: Match<'_>,
    admitted: &Admitted,
    origin: Option<&http::HeaderValue>,
) -> Option<Answer> {
    if matches!(backend.target, routing::Target::Invalid) {
        return None;
    }
    if let Some(answer) = filters::preflight(&backend.filters, admitted) {
        return Some(direct_answer(&answer, "a CORS preflight, answered by the waypoint"));
    }
    walk.filter_asks(&backend.filters);
    let levels: [&routing::Filters; 2] = [&rule.filters, &backend.filters];
    let port = walk.connection.destination_port;
    match filters::direct(&levels, admitted, origin, port, matched.prefix) {
        Ok(answer) => answer.map(|answer| direct_answer(&answer, "answered by the backendRef's filter")),
        Err(reason) => Some(Answer::refused(&reason, is_grpc(&admitted.headers))),
    }
}

fn direct_answer(answer: &Direct, words: &str) -> Answer {
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let words = match location {
        // A query may hold a token.
        Some(location) => format!(
            "{words}: redirect to {}",
            location.split('?').next().unwrap_or_default()
        ),
        None => words.to_owned(),
    };
    Answer {
        status: Some(answer.status.as_u16()),
        grpc_status: answer.grpc,
        details: "direct_response".to_owned(),
        ..Answer::served(words)
    }
}

fn token_told(explained: &TokenExplanation, offline: bool) -> TokenTold {
    let found: Vec<TokenFoundTold> = explained
        .tokens
        .iter()
        .map(|token| TokenFoundTold {
            place: token.place.clone(),
            accepted_by: token.accepted_by.clone(),
            refusals: token.refusals.iter().map(refusal_told).collect(),
        })
        .collect();
    let missing = explained
        .tokens
        .iter()
        .flat_map(|token| &token.refusals)
        .any(|refusal| refusal.keys_missing);
    let (result, reason, principal) = match &explained.outcome {
        Err(_) if offline && missing => ("unknown", None, None),
        Err(error) => ("refused", Some(error.reason.to_owned()), None),
        Ok(None) if explained.preflight => ("preflight", None, None),
        Ok(None) => ("none", None, None),
        Ok(Some(verified)) => ("accepted", None, Some(verified.claims.principal.clone())),
    };
    TokenTold {
        rules: explained.rules.clone(),
        found,
        result: result.to_owned(),
        reason,
        principal: principal.filter(|principal| !principal.is_empty()),
    }
}

fn refusal_told(refusal: &authz::TokenRefusal) -> String {
    let rule = refusal
        .rule
        .as_deref()
        .map_or(String::new(), |rule| format!("{rule}: "));
    let missing = if refusal.keys_missing {
        " (its keys are not here)"
    } else {
        ""
    };
    format!("{rule}{}{missing}", refusal.reason)
}

fn rule_told(rule: &Rule, matched: Match<'_>, admitted: &Admitted) -> RuleTold {
    let millis = |limit: Option<std::time::Duration>| limit.and_then(|limit| u64::try_from(limit.as_millis()).ok());
    RuleTold {
        name: match &rule.name {
            Some(name) => format!("{} rule {} ({name})", rule.route, rule.index),
            None => format!("{} rule {}", rule.route, rule.index),
        },
        filters: acts::of(&rule.filters, &admitted.head, matched.prefix),
        request_timeout_ms: millis(rule.timeouts.request),
        try_timeout_ms: millis(rule.timeouts.backend_request),
        retries: acts::retries(rule),
    }
}
