//! Step 3: requests that the waypoint refuses, and why it says it did.

use crate::demo::checks::Checks;
use crate::demo::collector::attribute;
use crate::demo::connection::{Connection, Reply};
use crate::demo::demo_mesh::DemoMesh;
use crate::demo::error::DemoError;
use crate::demo::ids;
use crate::demo::load::PATH;
use crate::demo::manifests::TOKEN;
use crate::demo::print::{say, step};
use crate::demo::trace_id::Parent;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::WWW_AUTHENTICATE;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// A request and what must become of it.
struct Case {
    title: &'static str,
    path: &'static str,
    token: Option<String>,
    status: u16,
    /// Part of the reason that the span must tell.
    reason: &'static str,
}

pub(super) async fn show(mesh: &DemoMesh, checks: &mut Checks) -> Result<(), DemoError> {
    step(3, "Who may pass, and why not");
    say("");
    let mut connection = Connection::new(mesh.port.address, ids::SERVICE_HOST);
    let trace = Parent::new();
    let mut asked = Vec::new();
    for case in cases()? {
        let parent = trace.sibling();
        let reply = ask(&mut connection, &case, &parent).await?;
        asked.push((case, parent, reply));
    }
    // One span for each request, and one for the attempt of the one that passed.
    let spans = mesh
        .collector
        .trace(&trace.trace_id(), asked.len().saturating_add(1))
        .await;
    for (case, parent, reply) in &asked {
        let span = spans
            .iter()
            .find(|span| span.parent_span_id == parent.span_id() && is_server(span));
        tell(case, reply, span, checks);
    }
    Ok(())
}

fn cases() -> Result<Vec<Case>, DemoError> {
    let case = |title, path, status, reason| Case {
        title,
        path,
        token: None,
        status,
        reason,
    };
    let token = |title, token, status, reason| Case {
        token: Some(token),
        ..case(title, PATH, status, reason)
    };
    let good = TOKEN.trim().to_owned();
    let altered = altered(&good)?;
    Ok(vec![
        case("GET /admin/users", "/admin/users", 403, "policy[deny-admin]"),
        case("GET /x/../admin/users", "/x/../admin/users", 403, "policy[deny-admin]"),
        token("GET /reviews/1, altered token", altered, 401, "jwt_authn_access_denied"),
        token("GET /reviews/1, good token", good, 200, "via_upstream"),
    ])
}

/// The same token for somebody else: its signature does not fit any more.
fn altered(token: &str) -> Result<String, DemoError> {
    let broken = || DemoError::Manifests("demo.jwt is not a signed token for alice".to_owned());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().map_err(|_| broken())?;
    let payload = URL_SAFE_NO_PAD
        .decode(payload)
        .ok()
        .and_then(|payload| String::from_utf8(payload).ok());
    let payload = payload
        .filter(|payload| payload.contains("\"alice\""))
        .ok_or_else(broken)?;
    let payload = URL_SAFE_NO_PAD.encode(payload.replace("\"alice\"", "\"mallory\""));
    Ok(format!("{header}.{payload}.{signature}"))
}

async fn ask(connection: &mut Connection, case: &Case, parent: &Parent) -> Result<Reply, DemoError> {
    let traceparent = parent.traceparent();
    let authorization = case.token.as_ref().map(|token| format!("Bearer {token}"));
    let mut headers = vec![("traceparent", traceparent.as_str())];
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    let failed = |why| DemoError::Request {
        path: case.path.to_owned(),
        why,
    };
    connection.get(case.path, &headers).await.map_err(failed)
}

fn is_server(span: &Span) -> bool {
    span.kind == i32::from(SpanKind::Server)
}

fn tell(case: &Case, reply: &Reply, span: Option<&Span>, checks: &mut Checks) {
    let details = span
        .map(|span| attribute(span, "response_code_details"))
        .unwrap_or_default();
    say(format!(
        "   {:<31}{}  {}",
        case.title,
        reply.status.as_u16(),
        reply.text()
    ));
    if !reply.status.is_success() {
        say(format!("   {:>34}  {details}", "why"));
    }
    if reply.status.as_u16() == 401 {
        say(format!(
            "   {:>34}  www-authenticate: {}",
            "",
            reply.header(WWW_AUTHENTICATE)
        ));
    }
    checks.hold(reply.status.as_u16() == case.status, || {
        format!("{}: expected {}, found {}", case.title, case.status, reply.status)
    });
    checks.hold(details.contains(case.reason), || {
        format!(
            "{}: expected {:?} in the reason the span tells, found {details:?}",
            case.title, case.reason
        )
    });
    let challenged = reply.header(WWW_AUTHENTICATE).starts_with("Bearer ");
    checks.hold(challenged == (case.status == 401), || {
        format!(
            "{}: www-authenticate is {:?}",
            case.title,
            reply.header(WWW_AUTHENTICATE)
        )
    });
}

#[cfg(test)]
mod tests;
