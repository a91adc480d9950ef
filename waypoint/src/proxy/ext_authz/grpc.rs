//! `envoy.service.auth.v3.Authorization/Check`.

use super::super::headers::REQUEST_ID;
use super::super::node::Node;
use super::super::pump::grpc_status;
use super::super::upstream::RequestHead;
use super::Changes;
use super::answer::{Denial, HeaderChange, How, Verdict, final_status, is_changeable};
use super::call::{Answer, CallFault, call};
use super::proto::{
    Address, AppendAction, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption,
    HttpRequest, HttpResponse, OkHttpResponse, Peer, Request, SocketAddress, Timestamp,
};
use super::question::{Question, Told};
use crate::http1::Framing;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use prost::Message;
use routing::{AuthBody, Cluster, ExternalAuth};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Compressed flag and length, before every message.
const PREFIX: usize = 5;

/// Asks.
pub(super) async fn check(
    node: &Node,
    cluster: &Cluster,
    auth: &ExternalAuth,
    question: &Question<'_>,
) -> Result<Verdict, CallFault> {
    let body = framed(&request(auth, question));
    let headers = call_headers(auth.check.timeout);
    let head = RequestHead {
        method: &Method::POST,
        target: CHECK,
        host: &auth.authority,
        headers: &headers,
        framing: Framing::Length(body.len() as u64),
        upgrade: None,
        extended: false,
    };
    verdict(call(node, cluster, true, &head, &body).await?)
}

fn call_headers(timeout: Duration) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    // At most 8 digits.
    let millis = timeout.as_millis().min(99_999_999);
    if let Ok(value) = HeaderValue::try_from(format!("{millis}m")) {
        headers.insert(HeaderName::from_static("grpc-timeout"), value);
    }
    headers
}

fn framed(message: &CheckRequest) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(length.saturating_add(PREFIX));
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // Fails only when there is no room, and a BytesMut grows.
    let _ = message.encode(&mut out);
    out.freeze()
}

fn request(auth: &ExternalAuth, question: &Question<'_>) -> CheckRequest {
    let connection = question.connection;
    let source = connection.identity.as_ref().map(|id| id.as_str()).unwrap_or_default();
    let destination = connection
        .destination_ip
        .map(|ip| address(ip, connection.destination_port));
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer {
                address: Some(address(connection.source_ip, question.peer.port())),
                principal: source.to_owned(),
            }),
            destination: Some(Peer {
                address: destination,
                principal: question.own.as_str().to_owned(),
            }),
            request: question.told.as_ref().map(|told| Request {
                time: Some(now()),
                http: Some(http_request(auth, told)),
            }),
        }),
    }
}

fn address(ip: IpAddr, port: u16) -> Address {
    Address {
        socket_address: Some(SocketAddress {
            address: ip.to_canonical().to_string(),
            port_value: port.into(),
        }),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
    }
}

fn http_request(auth: &ExternalAuth, told: &Told<'_>) -> HttpRequest {
    let target = told.target("");
    let host = told.head.authority.as_str();
    let mut headers = told_headers(auth, told.headers);
    let pseudo = [
        (":method", told.method.as_str()),
        (":path", &target),
        (":authority", host),
        (":scheme", "http"),
    ];
    headers.extend(pseudo.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let id = told.headers.get(&REQUEST_ID).map(text).unwrap_or_default();
    let mut request = HttpRequest {
        id,
        method: told.method.as_str().to_owned(),
        path: target,
        host: host.to_owned(),
        scheme: "http".to_owned(),
        size: told.size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1),
        protocol: if told.http2 { "HTTP/2" } else { "HTTP/1.1" }.to_owned(),
        ..HttpRequest::default()
    };
    if let Some(wanted) = auth.check.body {
        add_body(wanted, told, &mut request, &mut headers);
    }
    request.headers = headers;
    request
}

fn add_body(wanted: AuthBody, told: &Told<'_>, request: &mut HttpRequest, headers: &mut HashMap<String, String>) {
    let (body, partial) = told.body(wanted.max_bytes);
    headers.insert("x-envoy-auth-partial-body".to_owned(), partial.to_string());
    if wanted.as_bytes {
        request.raw_body = body.to_vec();
    } else {
        request.body = String::from_utf8_lossy(&body).into_owned();
    }
}

/// A repeated header is one value, joined with commas.
fn told_headers(auth: &ExternalAuth, headers: &HeaderMap) -> HashMap<String, String> {
    let mut out: HashMap<String, String> = HashMap::with_capacity(headers.keys_len().saturating_add(8));
    for (name, value) in headers {
        if !auth.check.request_headers.contain(name) {
            continue;
        }
        match out.get_mut(name.as_str()) {
            Some(before) => {
                before.push(',');
                before.push_str(&text(value));
            }
            None => {
                out.insert(name.as_str().to_owned(), text(value));
            }
        }
    }
    out
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn verdict(answer: Answer) -> Result<Verdict, CallFault> {
    if answer.parts.status != StatusCode::OK {
        return Err(CallFault::Error);
    }
    match grpc_status(&answer.trailers).or_else(|| grpc_status(&answer.parts.headers)) {
        Some(0) => {}
        Some(_) => return Err(CallFault::Error),
        None => return Err(CallFault::Broken),
    }
    let response = CheckResponse::decode(message(&answer.body)?).map_err(|_| CallFault::Broken)?;
    // No status is status 0 on this wire.
    let allowed = response.status.is_none_or(|status| status.code == 0);
    Ok(match (allowed, response.http_response) {
        (true, Some(HttpResponse::Ok(ok))) => Verdict::Allow(changes(ok)),
        (true, _) => Verdict::Allow(Changes::default()),
        (false, Some(HttpResponse::Denied(denied))) => Verdict::Deny(denial(denied)),
        (false, _) => Verdict::Deny(denial(DeniedHttpResponse::default())),
    })
}

/// The one message of an answer, which is not compressed: we did not say that it may be.
fn message(body: &Bytes) -> Result<&[u8], CallFault> {
    let (prefix, message) = body.split_at_checked(PREFIX).ok_or(CallFault::Broken)?;
    let &[flag, a, b, c, d] = prefix else {
        return Err(CallFault::Broken);
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| CallFault::Broken)?;
    if flag != 0 || length != message.len() {
        return Err(CallFault::Broken);
    }
    Ok(message)
}

fn changes(ok: OkHttpResponse) -> Changes {
    let removed = ok.headers_to_remove.iter().filter_map(|name| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(is_changeable)?;
        Some(HeaderChange { name, how: How::Remove })
    });
    // Request headers are set unless it is said otherwise, response headers are added (Envoy's documented defaults).
    let set = ok.headers.iter().filter_map(|option| change(option, How::Set));
    let added = ok.response_headers_to_add.iter();
    Changes {
        request: removed.chain(set).collect(),
        response: added.filter_map(|option| change(option, How::Append)).collect(),
    }
}

/// `append` goes before `append_action`, as in Envoy; `otherwise` where neither says anything.
fn change(option: &HeaderValueOption, otherwise: fn(HeaderValue) -> How) -> Option<HeaderChange> {
    let header = option.header.as_ref()?;
    let name = HeaderName::from_bytes(header.key.as_bytes())
        .ok()
        .filter(is_changeable)?;
    let raw = if header.raw_value.is_empty() {
        header.value.as_bytes()
    } else {
        &header.raw_value
    };
    let value = HeaderValue::from_bytes(raw).ok()?;
    let how = match (&option.append, AppendAction::try_from(option.append_action)) {
        (Some(append), _) if append.value => How::Append(value),
        (Some(_), _) | (None, Ok(AppendAction::OverwriteIfExistsOrAdd)) => How::Set(value),
        (None, Ok(AppendAction::AddIfAbsent)) => How::AddIfAbsent(value),
        (None, Ok(AppendAction::OverwriteIfExists)) => How::Replace(value),
        (None, _) => otherwise(value),
    };
    Some(HeaderChange { name, how })
}

fn denial(denied: DeniedHttpResponse) -> Denial {
    let code = denied.status.map_or(0, |status| status.code);
    let mut headers = HeaderMap::with_capacity(denied.headers.len());
    let given: Vec<HeaderChange> = denied
        .headers
        .iter()
        .filter_map(|option| change(option, How::Append))
        .collect();
    super::apply(&given, &mut headers);
    Denial {
        status: final_status(u16::try_from(code).unwrap_or(0)),
        headers,
        body: Bytes::from(denied.body),
    }
}
