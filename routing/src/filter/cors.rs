//! CORS (GEP-1767, HTTPCORSFilter): which other origins may read answers, told from request headers alone.
//!
//! Where a rule has this filter, it alone speaks CORS: what the backend says in the same headers is replaced.

mod origin;

pub use origin::OriginPattern;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// CORS.
#[derive(Clone, Debug)]
pub struct Cors {
    /// `allowOrigins`. Empty: no other origin may read anything.
    pub origins: Vec<OriginPattern>,
    /// `allowCredentials`, default false.
    pub credentials: bool,
    /// `allowMethods`.
    pub methods: Listed,
    /// `allowHeaders`.
    pub headers: Listed,
    /// `exposeHeaders`.
    pub exposed: Listed,
    /// `maxAge`, in seconds; see [`Cors::DEFAULT_MAX_AGE_SECONDS`].
    pub max_age_seconds: u32,
    /// Whether a preflight of an origin that is not allowed goes to the backend like any request (a VirtualService,
    /// unless `unmatchedPreflights` says otherwise) or is answered without leave.
    pub forwards_unmatched: bool,
}

/// A list of names, pre-built as a header's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// Not given: the header is not sent.
    #[default]
    Nothing,
    /// `*`.
    Everything,
    /// The names, joined by `, `.
    These(HeaderValue),
}

impl Cors {
    /// How long a browser may keep the answer to a preflight when `maxAge` is not given (the CRD's default).
    pub const DEFAULT_MAX_AGE_SECONDS: u32 = 5;

    /// The origin a request tells. `None`: it is no cross-origin request, or tells two, which is as good as none.
    pub fn origin_of(request: &HeaderMap) -> Option<&HeaderValue> {
        let mut told = request.get_all(ORIGIN).iter();
        told.next().filter(|_| told.next().is_none())
    }

    /// The headers of the answer to a preflight, which the proxy gives itself with status 200; without
    /// `Access-Control-*` when the origin is not allowed. `None`: the request is no preflight (Fetch, section 3.2.2:
    /// OPTIONS with `Origin` and `Access-Control-Request-Method`).
    pub fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<HeaderMap> {
        let wanted_method = request.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let origin = Self::origin_of(request).filter(|_| *method == Method::OPTIONS)?;
        if self.forwards_unmatched && !self.allows(origin) {
            return None;
        }
        let mut answer = HeaderMap::with_capacity(8);
        if self.share(Some(origin), &mut answer) {
            let wanted_headers = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
            let is_method = Method::from_bytes(wanted_method.as_bytes()).is_ok();
            put(
                &mut answer,
                ACCESS_CONTROL_ALLOW_METHODS,
                self.allowed(&self.methods, Some(wanted_method).filter(|_| is_method)),
            );
            put(
                &mut answer,
                ACCESS_CONTROL_ALLOW_HEADERS,
                self.allowed(&self.headers, wanted_headers),
            );
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age_seconds));
        }
        Some(answer)
    }

    /// Writes the CORS headers of the answer to an actual request in place of those the backend gave.
    pub fn apply(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        for name in OWNED {
            response.remove(name);
        }
        self.share(origin, response);
    }

    /// The headers that preflights and actual requests have in common; true when the origin is allowed.
    fn share(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) -> bool {
        let is_for_all = !self.credentials && self.origins.iter().any(|origin| matches!(origin, OriginPattern::Any));
        if !is_for_all {
            vary_by_origin(response);
        }
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else {
            return false;
        };
        let shared_with = if is_for_all { ANY } else { origin.clone() };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, shared_with);
        if self.credentials {
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        // With credentials `*` would be the name of a header (Fetch, section 3.2.3): it is left out.
        put(
            response,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            self.allowed(&self.exposed, None),
        );
        true
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let text = origin.to_str().unwrap_or_default();
        self.origins.iter().any(|pattern| pattern.matches(text))
    }

    /// What of a list is told to a client that asked for `asked`: where everything is allowed, that; `*` only without
    /// credentials.
    fn allowed(&self, listed: &Listed, asked: Option<&HeaderValue>) -> Option<HeaderValue> {
        match listed {
            Listed::Nothing => None,
            Listed::These(names) => Some(names.clone()),
            // Asked for `authorization`, a browser does not take `*` for an answer (Fetch, section 4.10).
            Listed::Everything => asked.cloned().or_else(|| (!self.credentials).then_some(ANY)),
        }
    }
}

impl Listed {
    /// A list as it is written: `*` anywhere in it is everything.
    ///
    /// # Errors
    /// A name that is none (RFC 9110, section 5.6.2: a token).
    pub fn of(names: &[&str]) -> Result<Self, String> {
        if names.contains(&"*") {
            return Ok(Self::Everything);
        }
        // A method is any token, so is a header's name.
        if let Some(name) = names.iter().find(|name| Method::from_bytes(name.as_bytes()).is_err()) {
            return Err(format!("expected a name or \"*\", found {name:?}"));
        }
        if names.is_empty() {
            return Ok(Self::Nothing);
        }
        let value = HeaderValue::try_from(names.join(", ")).map_err(|error| error.to_string())?;
        Ok(Self::These(value))
    }
}

/// The response headers that this filter speaks for.
const OWNED: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];
const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// Caches must not give one origin's answer to another.
fn vary_by_origin(response: &mut HeaderMap) {
    let is_told = response.get_all(VARY).iter().any(|value| {
        let mut names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
    });
    if !is_told {
        response.append(VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests;
