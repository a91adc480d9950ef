//! What filters do to answers: those they give themselves (a CORS preflight, a redirect), and those that come back.

use super::exchange::Admitted;
use super::reason::Reason;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use routing::{Cors, Filters};

/// An answer without a body that needs no backend.
#[derive(Debug)]
pub(crate) struct Direct {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
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
    let preflight = own
        .cors
        .as_ref()
        .and_then(|cors| cors.preflight(&admitted.method, &admitted.headers));
    if let Some(headers) = preflight {
        let status = StatusCode::OK;
        return Ok(Some(Direct { status, headers }));
    }
    let Some(redirect) = &own.redirect else { return Ok(None) };
    let location = redirect.location(&admitted.head, "http", port, prefix);
    let location = HeaderValue::try_from(location).map_err(|_| Reason::BadRequest("redirect target"))?;
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(LOCATION, location);
    for filters in levels.iter().rev() {
        on_response(filters, origin, &mut headers);
    }
    let status = StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::FOUND);
    Ok(Some(Direct { status, headers }))
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
