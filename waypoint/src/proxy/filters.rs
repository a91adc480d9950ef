//! What filters do to answers: those they give themselves (a CORS preflight, a redirect, a direct response), and those that come back.

use super::exchange::Admitted;
use super::grpc::{is_grpc, status_of};
use super::reason::Reason;
use super::respond::trailers_only;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use routing::{Cors, DirectResponse, Filters, Redirect};

/// An answer that needs no backend.
#[derive(Debug)]
pub(crate) struct Direct {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// `grpc-status`, when it is a gRPC answer.
    pub(crate) grpc: Option<u32>,
}

/// The answer of these filters to a CORS preflight.
pub(crate) fn preflight(own: &Filters, admitted: &Admitted) -> Option<Direct> {
    let cors = own.cors.as_ref()?;
    let headers = cors.preflight(&admitted.method, &admitted.headers)?;
    Some(Direct {
        status: StatusCode::OK,
        headers,
        body: Bytes::new(),
        grpc: None,
    })
}

/// What the innermost of `levels` answers itself, if anything. `levels` begins with the rule's filters; those of the
/// chosen backend are inside them.
pub(crate) fn direct(
    levels: &[&Filters],
    admitted: &Admitted,
    origin: Option<&HeaderValue>,
    port: u16,
    prefix: Option<&str>,
) -> Result<Option<Direct>, Reason> {
    let Some(own) = levels.last() else { return Ok(None) };
    let mut answer = match (&own.redirect, &own.direct_response) {
        (Some(redirect), _) => self::redirect(redirect, admitted, port, prefix)?,
        (None, Some(response)) => respond(response, admitted),
        (None, None) => return Ok(None),
    };
    for filters in levels.iter().rev() {
        on_response(filters, origin, &mut answer.headers);
    }
    Ok(Some(answer))
}

fn redirect(redirect: &Redirect, admitted: &Admitted, port: u16, prefix: Option<&str>) -> Result<Direct, Reason> {
    let location = redirect.location(&admitted.head, "http", port, prefix);
    let location = HeaderValue::try_from(location).map_err(|_| Reason::BadRequest("redirect target"))?;
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(LOCATION, location);
    Ok(Direct {
        status: StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::FOUND),
        headers,
        body: Bytes::new(),
        grpc: None,
    })
}

/// gRPC gets its status in gRPC's way, as from Envoy.
fn respond(response: &DirectResponse, admitted: &Admitted) -> Direct {
    if is_grpc(&admitted.headers) {
        let grpc = status_of(response.status);
        return Direct {
            status: StatusCode::OK,
            headers: trailers_only(grpc, &response.body),
            body: Bytes::new(),
            grpc: Some(grpc),
        };
    }
    let mut headers = HeaderMap::with_capacity(8);
    if !response.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    Direct {
        status: StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        headers,
        body: response.body.clone(),
        grpc: None,
    }
}

/// Applies the filters of one level to the head of an answer on its way to the client.
pub(crate) fn on_response(filters: &Filters, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if let Some(modifier) = &filters.response_headers {
        modifier.apply(headers);
    }
    if let Some(cors) = &filters.cors {
        cors.apply(origin, headers);
    }
}

/// The origin of a request, where these filters ask for it: modifiers may change the header on its way upstream.
pub(crate) fn origin(filters: &Filters, headers: &HeaderMap) -> Option<HeaderValue> {
    filters.cors.as_ref().and_then(|_| Cors::origin_of(headers).cloned())
}
