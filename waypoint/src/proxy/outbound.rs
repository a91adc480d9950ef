//! The request as it goes upstream: built once per request, sent by every attempt.

use super::client::Client;
use super::exchange::Admitted;
use super::extended_connect;
use super::forward::Forward;
use super::grpc::is_grpc;
use super::headers;
use super::reason::Reason;
use super::record::Record;
use super::upstream::RequestHead;
use crate::http1::Framing;
use authz::{Authn, Verified};
use http::{HeaderMap, HeaderValue, Method, Version};
use request::Head;
use routing::{Backend, Filters, PathTooLong, Protocol, Rewrite};

/// Method, target, Host and headers for the endpoint.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) host: HeaderValue,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    pub(crate) upgrade: Option<HeaderValue>,
    client_http2: bool,
    /// `upgrade` was asked for over HTTP/2.
    extended: bool,
}

impl Outbound {
    /// Applies what the token, the rule and the backend change.
    pub(crate) fn build(
        forward: &Forward<'_>,
        headers: HeaderMap,
        backend: &Backend,
        client: &Client<'_>,
        record: &Record,
    ) -> Result<Self, Reason> {
        let admitted = forward.admitted;
        let mut outbound = Self {
            method: admitted.method.clone(),
            target: target(&admitted.head, admitted.verified.as_ref()),
            host: host(admitted)?,
            headers,
            framing: admitted.framing,
            upgrade: admitted.upgrade.clone(),
            client_http2: matches!(record.head, Some((_, Version::HTTP_2))),
            extended: client.is_extended_connect(),
        };
        if let Some(verified) = &admitted.verified {
            Authn::apply(verified, &mut outbound.headers);
        }
        let traced = record.is_traced.then_some(&record.trace);
        headers::finish_request(&mut outbound.headers, traced, client.expects_continue());
        let topology = forward.snapshot.settings.topology;
        let client = forward.tunnel.connection.source_ip;
        headers::tell_address(
            &mut outbound.headers,
            topology,
            client,
            admitted.head.authority.as_str(),
        );
        for filters in [&forward.rule.filters, &backend.filters] {
            outbound.filter(filters, &admitted.head, forward.prefix)?;
        }
        Ok(outbound)
    }

    /// For [`super::connect::Connector::open`].
    pub(crate) fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: &self.method,
            target: &self.target,
            host: &self.host,
            headers: &self.headers,
            framing: self.framing,
            upgrade: self.upgrade.as_ref(),
            extended: self.extended,
        }
    }

    /// Makes an upgrade of a wish over HTTP/2, for an endpoint that speaks HTTP/1.1; true when there is one.
    pub(crate) fn upgrade_http1(&mut self, http2: bool) -> bool {
        if self.extended && !http2 {
            extended_connect::to_http1(&mut self.headers);
        }
        self.extended && !http2
    }

    /// Whether an endpoint is spoken to in HTTP/2: what its port declares, else what the client speaks.
    pub(crate) fn http2(&self, protocol: Protocol) -> bool {
        match protocol {
            // It cannot switch protocols: a wish over HTTP/1.1 is left out, as any server may ignore it.
            Protocol::H2c | Protocol::Grpc => true,
            _ if self.upgrade.is_some() => false,
            Protocol::Http => is_grpc(&self.headers),
            Protocol::Detect | Protocol::Tcp | Protocol::Tls => self.client_http2,
        }
    }

    fn filter(&mut self, filters: &Filters, head: &Head, prefix: Option<&str>) -> Result<(), Reason> {
        if let Some(modifier) = &filters.request_headers {
            modifier.apply(&mut self.headers);
            if let Some(host) = modifier.host() {
                self.host = host.clone();
            }
        }
        if let Some(rewrite) = &filters.rewrite {
            self.rewrite(rewrite, head, prefix)?;
        }
        Ok(())
    }

    fn rewrite(&mut self, rewrite: &Rewrite, head: &Head, prefix: Option<&str>) -> Result<(), Reason> {
        if let Some(host) = &rewrite.hostname {
            self.host = host.0.clone();
        }
        let target = rewrite.path_and_query(head, prefix);
        if let Some(target) = target.map_err(|PathTooLong| Reason::BadRequest("a rewritten path longer than 32 KiB"))? {
            self.target = target;
        }
        Ok(())
    }
}

/// The parsed authority: what was routed and judged is what is sent.
fn host(admitted: &Admitted) -> Result<HeaderValue, Reason> {
    let authority = admitted.head.authority.as_str();
    match &admitted.host {
        Some(host) if host.as_bytes() == authority.as_bytes() => Ok(host.clone()),
        _ => HeaderValue::try_from(authority).map_err(|_| Reason::BadRequest("authority")),
    }
}

/// The normalised path and the query, less a token that is not to be forwarded.
fn target(head: &Head, verified: Option<&Verified>) -> String {
    let path = head.path.as_str();
    let Some(query) = head.query.as_deref() else {
        return path.to_owned();
    };
    let stripped = verified.and_then(|verified| verified.stripped_query(query));
    let query = stripped.as_deref().unwrap_or(query);
    let mut target = String::with_capacity(path.len().saturating_add(query.len()).saturating_add(1));
    target.push_str(path);
    if !query.is_empty() || stripped.is_none() {
        target.push('?');
        target.push_str(query);
    }
    target
}
