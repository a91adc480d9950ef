//! W3C `traceparent` and B3, in; `traceparent`, and B3 where it came or is asked for, out.
//!
//! Reading is strict: what is not exactly the specified form is no context at all, and the request begins a new
//! trace. Nothing that a client sent is ever copied into an outgoing header: the header is written anew from the
//! parsed numbers, because a malformed `traceparent` on a CONNECT is known to harm the next hop.

use http::{HeaderMap, HeaderName, HeaderValue};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static B3: HeaderName = HeaderName::from_static("b3");
static B3_TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
static B3_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
static B3_PARENT_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
static B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
static B3_FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// 16 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub u128);

/// 8 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub u64);

/// The place of a request in its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace.
    pub trace: TraceId,
    /// Our server span.
    pub span: SpanId,
    /// The client's span, when one came.
    pub parent: Option<SpanId>,
    /// Whether it is recorded.
    pub sampled: bool,
}

impl TraceId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(rand::random::<u128>().max(1))
    }
}

impl SpanId {
    /// A fresh one: for the client span of an upstream attempt.
    pub fn random() -> Self {
        Self(rand::random::<u64>().max(1))
    }
}

impl TraceContext {
    /// `traceparent` for an upstream attempt whose client span is `span`. Version 00 of W3C Trace Context.
    pub fn traceparent(&self, span: SpanId) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        if let Some(part) = text.get_mut(3..35) {
            write_hex(part, self.trace.0);
        }
        if let Some(part) = text.get_mut(36..52) {
            write_hex(part, u128::from(span.0));
        }
        if let Some(flag) = text.last_mut() {
            *flag = if self.sampled { b'1' } else { b'0' };
        }
        // Hex digits and dashes are always a valid header value.
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Writes the context of an upstream attempt over whatever the client sent: `traceparent`, and each form of B3 that is
    /// asked for or that stands there already (it names the client's span).
    pub(crate) fn inject(&self, span: SpanId, b3: bool, b3_multi: bool, headers: &mut HeaderMap) {
        headers.insert(&TRACEPARENT, self.traceparent(span));
        if b3 || headers.contains_key(&B3) {
            headers.insert(&B3, self.b3(span));
        }
        if b3_multi || headers.contains_key(&B3_TRACE_ID) || headers.contains_key(&B3_SPAN_ID) {
            headers.insert(&B3_TRACE_ID, hex_value(self.trace.0, 32));
            headers.insert(&B3_SPAN_ID, hex_value(u128::from(span.0), 16));
            headers.insert(&B3_PARENT_ID, hex_value(u128::from(self.span.0), 16));
            headers.insert(
                &B3_SAMPLED,
                HeaderValue::from_static(if self.sampled { "1" } else { "0" }),
            );
            headers.remove(&B3_FLAGS);
        }
    }

    /// `<trace>-<span>-<decision>`, as B3's single header has it.
    fn b3(&self, span: SpanId) -> HeaderValue {
        let mut text = *b"00000000000000000000000000000000-0000000000000000-0";
        if let Some(part) = text.get_mut(..32) {
            write_hex(part, self.trace.0);
        }
        if let Some(part) = text.get_mut(33..49) {
            write_hex(part, u128::from(span.0));
        }
        if let Some(flag) = text.last_mut() {
            *flag = if self.sampled { b'1' } else { b'0' };
        }
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Reads W3C, else B3 single, else B3 multi: (trace, parent span, sampled if said).
    ///
    /// Two `traceparent` headers are none (W3C Trace Context 3.2: a context that cannot be parsed is discarded).
    pub fn extract(headers: &HeaderMap) -> Option<(TraceId, SpanId, Option<bool>)> {
        w3c(headers)
            .or_else(|| b3_single(headers))
            .or_else(|| b3_multi(headers))
    }

    /// The sampling decision that B3 lets a client send without ids (`b3: 0`, `x-b3-sampled: 0`).
    pub(crate) fn bare_decision(headers: &HeaderMap) -> Option<bool> {
        let single = sole(headers, &B3)
            .filter(|value| value.len() == 1)
            .and_then(b3_decision);
        single.or_else(|| b3_multi_decision(headers))
    }
}

/// The value of a header that came exactly once.
fn sole<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first.as_bytes())
}

fn w3c(headers: &HeaderMap) -> Option<(TraceId, SpanId, Option<bool>)> {
    // The common case, no header, must cost one look-up.
    headers.get(&TRACEPARENT)?;
    parse_traceparent(sole(headers, &TRACEPARENT)?)
}

/// `version "-" trace-id "-" parent-id "-" flags`, lower-case hex only. A higher version may carry more after a dash.
pub(crate) fn parse_traceparent(text: &[u8]) -> Option<(TraceId, SpanId, Option<bool>)> {
    let (head, rest) = text.split_at_checked(55)?;
    let [v1, v2, b'-', ids @ .., b'-', f1, f2] = head else {
        return None;
    };
    let version = hex(&[*v1, *v2])?;
    let well_formed_tail = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    if !well_formed_tail {
        return None;
    }
    let (trace, span) = split_ids(ids)?;
    let flags = hex(&[*f1, *f2])?;
    Some((trace, span, Some(flags & 1 == 1)))
}

/// `<32 hex>-<16 hex>`, neither all zero.
fn split_ids(ids: &[u8]) -> Option<(TraceId, SpanId)> {
    let (trace, rest) = ids.split_at_checked(32)?;
    let (b'-', span) = rest.split_first()? else { return None };
    Some((trace_id(trace)?, span_id(span)?))
}

/// 32 lower-case hex digits, or 16 (B3's 64-bit trace ids).
fn trace_id(text: &[u8]) -> Option<TraceId> {
    if text.len() != 32 && text.len() != 16 {
        return None;
    }
    hex(text).filter(|id| *id != 0).map(TraceId)
}

fn span_id(text: &[u8]) -> Option<SpanId> {
    if text.len() != 16 {
        return None;
    }
    let id = u64::try_from(hex(text)?).ok()?;
    (id != 0).then_some(SpanId(id))
}

/// `<trace>-<span>[-<decision>[-<parent>]]`.
fn b3_single(headers: &HeaderMap) -> Option<(TraceId, SpanId, Option<bool>)> {
    let mut parts = sole(headers, &B3)?.split(|byte| *byte == b'-');
    let trace = trace_id(parts.next()?)?;
    let span = span_id(parts.next()?)?;
    let sampled = match parts.next() {
        Some(text) => Some(b3_decision(text)?),
        None => None,
    };
    if let Some(parent) = parts.next() {
        span_id(parent)?;
    }
    parts.next().is_none().then_some((trace, span, sampled))
}

/// `1` and `d` (debug) are yes, `0` is no.
fn b3_decision(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"d" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

fn b3_multi(headers: &HeaderMap) -> Option<(TraceId, SpanId, Option<bool>)> {
    let trace = trace_id(sole(headers, &B3_TRACE_ID)?)?;
    let span = span_id(sole(headers, &B3_SPAN_ID)?)?;
    Some((trace, span, b3_multi_decision(headers)))
}

/// `x-b3-flags: 1` is debug, which implies yes; old clients write `true` and `false`.
fn b3_multi_decision(headers: &HeaderMap) -> Option<bool> {
    if sole(headers, &B3_FLAGS) == Some(b"1") {
        return Some(true);
    }
    match sole(headers, &B3_SAMPLED)? {
        b"1" | b"true" => Some(true),
        b"0" | b"false" => Some(false),
        _ => None,
    }
}

/// Lower-case hex of at most 32 digits.
fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some((value << 4) | u128::from(digit))
    })
}

/// The low `digits` digits of a number.
fn hex_value(number: u128, digits: usize) -> HeaderValue {
    let mut text = [b'0'; 32];
    let part = text.get_mut(..digits).unwrap_or_default();
    write_hex(part, number);
    HeaderValue::from_bytes(part).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Fills `out` with the low digits of `value`.
fn write_hex(out: &mut [u8], mut value: u128) {
    for slot in out.iter_mut().rev() {
        *slot = match (value & 0xf) as u8 {
            digit @ 0..=9 => b'0' + digit,
            digit => b'a' + (digit - 10),
        };
        value >>= 4;
    }
}

#[cfg(test)]
mod tests;
