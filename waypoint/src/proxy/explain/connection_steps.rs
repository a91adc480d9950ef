//! A connection whose bytes are not looked into, step by step as [`super::super::tcp`] takes them.

use super::super::reason::{Reason, policy_name};
use super::{Answer, Walk};
use crate::explain::question::Kind;
use crate::explain::report::{MatchTold, Report, RuleTold};
use request::Connection;
use routing::{Protocol, Streams};

pub(super) fn explain(mut walk: Walk<'_>) -> Report {
    let namespace = walk.asked.identity.namespace();
    let streams = walk.port.routes(namespace).streams();
    let must_be_tls = streams.map_or(walk.port.protocol == Protocol::Tls, Streams::is_tls);
    if must_be_tls && walk.asked.kind != Kind::Tls {
        walk.refuse(Reason::ClientHello("not TLS"));
    }
    let connection = Connection {
        sni: walk.server_name(must_be_tls),
        ..walk.connection.clone()
    };
    walk.note("what is carried is not looked into: no route by path or header, no token, no policy on HTTP");
    walk.asks(&connection);
    let port = walk.port;
    walk.judged(port.policies.explain_tcp(&connection));
    walk.lead(streams, connection.sni.as_deref());
    if let Some(reason) = &walk.refusal {
        walk.report.answer = Answer::closed(reason);
    }
    walk.report
}

impl Walk<'_> {
    /// The name in the ClientHello, where it is read.
    fn server_name(&self, must_be_tls: bool) -> Option<String> {
        let read = must_be_tls || self.port.policies.needs_sni();
        let named = read && self.asked.kind == Kind::Tls && self.asked.target.ip().is_none();
        named.then(|| self.asked.target.host().to_owned())
    }

    fn asks(&mut self, connection: &Connection) {
        let port = self.port;
        for ask in port.policies.asks_tcp(connection) {
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

    fn lead(&mut self, streams: Option<&Streams>, sni: Option<&str>) {
        let host = sni.unwrap_or_else(|| self.asked.target.host()).to_owned();
        let Some(streams) = streams else {
            let mut told = self.target_told(&self.port.cluster, &host, false);
            told.percent = 100.0;
            self.report.answer = told.answer.clone();
            self.report.backends.push(told);
            return self.closed_without_endpoints();
        };
        let Some(rule) = streams.find(sni) else {
            return self.refuse(Reason::NoRoute);
        };
        self.report.routes.push(MatchTold {
            what: format!("{} rule {}", rule.route, rule.index),
            lost_because: None,
        });
        self.report.rule = Some(RuleTold {
            name: format!("{} rule {}", rule.route, rule.index),
            ..RuleTold::default()
        });
        let total: u64 = rule.backends.iter().map(|backend| u64::from(backend.weight)).sum();
        for backend in &rule.backends {
            let mut told = self.target_told(&backend.target, &host, false);
            told.weight = backend.weight;
            told.percent = if total == 0 {
                0.0
            } else {
                100.0 * f64::from(backend.weight) / total as f64
            };
            self.report.backends.push(told);
        }
        let weighted = || self.report.backends.iter().filter(|backend| backend.weight > 0);
        let answer = weighted()
            .map(|backend| &backend.answer)
            .max_by_key(|answer| answer.served);
        match answer.cloned() {
            Some(answer) => self.report.answer = answer,
            None => self.refuse(Reason::NoBackend),
        }
        self.closed_without_endpoints();
    }

    /// A connection has no status.
    fn closed_without_endpoints(&mut self) {
        let answer = &mut self.report.answer;
        if !answer.served {
            answer.status = None;
            answer.words = format!("the connection is closed: {}", answer.words);
        } else {
            "carried to the backend".clone_into(&mut answer.words);
        }
    }
}
