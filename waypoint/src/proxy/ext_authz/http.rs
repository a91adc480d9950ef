//! A check over HTTP: the request itself, with another body or none, to somebody who answers 200 or not.

use super::super::node::Node;
use super::super::upstream::RequestHead;
use super::Changes;
use super::answer::{Denial, HeaderChange, How, Verdict, is_changeable};
use super::call::{Answer, CallFault, call};
use super::question::Told;
use crate::http1::{Framing, strip_hop_by_hop};
use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, DATE, HOST,
    SERVER,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use routing::{Cluster, ExternalAuth, HeaderNames, HttpAuth, Protocol};

/// Names headers of the request that are not to go on, in an allowing answer (Envoy).
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Asks.
pub(super) async fn check(
    node: &Node,
    cluster: &Cluster,
    auth: &ExternalAuth,
    settings: &HttpAuth,
    told: &Told<'_>,
) -> Result<Verdict, CallFault> {
    let mut headers = sent_headers(auth, told.headers);
    let body = match auth.check.body {
        None => Bytes::new(),
        Some(wanted) => {
            let (body, partial) = told.body(wanted.max_bytes);
            let partial = HeaderValue::from_static(if partial { "true" } else { "false" });
            headers.insert("x-envoy-auth-partial-body", partial);
            body
        }
    };
    let host = HeaderValue::try_from(told.head.authority.as_str()).map_err(|_| CallFault::Broken)?;
    let target = told.target(&settings.path_prefix);
    let head = RequestHead {
        method: told.method,
        target: &target,
        host: &host,
        headers: &headers,
        framing: Framing::Length(body.len() as u64),
        upgrade: None,
        extended: false,
    };
    let http2 = matches!(cluster.protocol, Protocol::H2c | Protocol::Grpc);
    verdict(settings, call(node, cluster, http2, &head, &body).await?)
}

fn sent_headers(auth: &ExternalAuth, request: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    for (name, value) in request {
        if auth.check.request_headers.contain(name) && is_changeable(name) && *name != http::header::EXPECT {
            headers.append(name.clone(), value.clone());
        }
    }
    for (name, value) in auth.check.fixed_headers.iter().filter(|(name, _)| is_changeable(name)) {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// 200 allows; 5xx is a failed check, as in Envoy; anything else is the answer to the client.
fn verdict(settings: &HttpAuth, answer: Answer) -> Result<Verdict, CallFault> {
    let status = answer.parts.status;
    let mut headers = answer.parts.headers;
    strip_hop_by_hop(&mut headers);
    if status == StatusCode::OK {
        return Ok(Verdict::Allow(changes(settings, &headers)));
    }
    if status.is_server_error() {
        return Err(CallFault::Error);
    }
    let told: HeaderMap = headers
        .iter()
        .filter(|(name, _)| settings.to_client_on_deny.contain(name) && is_changeable(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Ok(Verdict::Deny(Denial {
        status,
        headers: told,
        body: answer.body,
    }))
}

fn changes(settings: &HttpAuth, headers: &HeaderMap) -> Changes {
    let mut changes = Changes::default();
    let listed = headers
        .get_all(&TO_REMOVE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for name in listed.flat_map(|list| list.split(',')) {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok();
        if let Some(name) = name.filter(is_changeable) {
            changes.request.push(HeaderChange { name, how: How::Remove });
        }
    }
    for name in headers.keys().filter(|name| goes_upstream(&settings.to_upstream, name)) {
        // Coexisting headers are overridden; an answer's own repetitions stay.
        for (index, value) in headers.get_all(name).iter().cloned().enumerate() {
            changes.request.push(HeaderChange {
                name: name.clone(),
                how: if index == 0 {
                    How::Set(value)
                } else {
                    How::Append(value)
                },
            });
        }
    }
    let to_client = headers
        .iter()
        .filter(|(name, _)| settings.to_client_on_allow.contain(name) && is_changeable(name));
    changes.response.extend(to_client.map(|(name, value)| HeaderChange {
        name: name.clone(),
        how: How::Append(value.clone()),
    }));
    changes
}

/// Where all headers go on, those that describe the answer itself do not: the request has a body and a type of its own.
fn goes_upstream(names: &HeaderNames, name: &HeaderName) -> bool {
    const OF_THE_ANSWER: [HeaderName; 9] = [
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_LENGTH,
        CONTENT_LOCATION,
        CONTENT_RANGE,
        CONTENT_TYPE,
        DATE,
        HOST,
        SERVER,
    ];
    let named = names.contain(name) && is_changeable(name) && *name != TO_REMOVE;
    named && (*names != HeaderNames::All || !OF_THE_ANSWER.contains(name))
}
