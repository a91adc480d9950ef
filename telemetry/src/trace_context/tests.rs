#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    map
}

fn ids() -> (TraceId, SpanId) {
    (
        TraceId(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        SpanId(0xb7ad_6b71_6920_3331),
    )
}

fn extract(pairs: &[(&str, &str)]) -> Option<(TraceId, SpanId, Option<bool>)> {
    TraceContext::extract(&headers(pairs))
}

#[test]
fn w3c_version_00_is_read() {
    let (trace, span) = ids();
    for (flags, sampled) in [("00", false), ("01", true), ("03", true), ("fe", false), ("ff", true)] {
        let text = format!("00-{TRACE}-{SPAN}-{flags}");
        assert_eq!(
            extract(&[("traceparent", &text)]),
            Some((trace, span, Some(sampled))),
            "{text}"
        );
    }
}

#[test]
fn w3c_forward_versions_may_carry_more_after_a_dash() {
    let (trace, span) = ids();
    for text in [
        format!("01-{TRACE}-{SPAN}-01"),
        format!("cc-{TRACE}-{SPAN}-01-what-the-future-holds"),
    ] {
        assert_eq!(
            extract(&[("traceparent", &text)]),
            Some((trace, span, Some(true))),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_exactly_w3c_is_no_context() {
    let zeros = "00000000000000000000000000000000";
    for text in [
        String::new(),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-011"),
        format!("01-{TRACE}-{SPAN}-01x"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("FF-{TRACE}-{SPAN}-01"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("00-{zeros}-{SPAN}-01"),
        format!("00-{TRACE}-0000000000000000-01"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
        format!("00-{TRACE}-{SPAN}-0A"),
        format!("00_{TRACE}_{SPAN}_01"),
        format!("00-{}g-{SPAN}-01", &TRACE[..31]),
        format!("00-{}--{SPAN}-01", &TRACE[..31]),
        format!("00-{}-0{SPAN}-01", &TRACE[..31]),
        format!(" 00-{TRACE}-{SPAN}-01"),
    ] {
        assert_eq!(parse_traceparent(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn two_traceparents_are_none() {
    let text = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(extract(&[("traceparent", &text), ("traceparent", &text)]), None);
}

#[test]
fn b3_single_is_read() {
    let (trace, span) = ids();
    let parent = "05e3ac9a4f6e3b90";
    for (rest, sampled) in [
        (String::new(), None),
        ("-0".to_owned(), Some(false)),
        ("-1".to_owned(), Some(true)),
        ("-d".to_owned(), Some(true)),
        (format!("-1-{parent}"), Some(true)),
    ] {
        let text = format!("{TRACE}-{SPAN}{rest}");
        assert_eq!(extract(&[("b3", &text)]), Some((trace, span, sampled)), "{text}");
    }
    for rest in ["-2", "-", "-1-", "-1-zz", "-1-05e3ac9a4f6e3b90-1"] {
        assert_eq!(extract(&[("b3", &format!("{TRACE}-{SPAN}{rest}"))]), None, "{rest}");
    }
}

#[test]
fn b3_multi_is_read_with_short_trace_ids_too() {
    let (trace, span) = ids();
    let pairs = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0")];
    assert_eq!(extract(&pairs), Some((trace, span, Some(false))));
    assert_eq!(extract(&pairs[..2]), Some((trace, span, None)));
    assert_eq!(extract(&pairs[..1]), None);
    let short = [
        ("x-b3-traceid", SPAN),
        ("x-b3-spanid", SPAN),
        ("x-b3-flags", "1"),
        ("x-b3-sampled", "0"),
    ];
    assert_eq!(extract(&short), Some((TraceId(u128::from(span.0)), span, Some(true))));
}

#[test]
fn w3c_goes_before_b3_and_a_bad_one_does_not_hide_it() {
    let other = format!("{TRACE}-{SPAN}-0");
    let w3c = "00-00000000000000000000000000000001-0000000000000002-01".to_owned();
    assert_eq!(
        extract(&[("b3", &other), ("traceparent", &w3c)]),
        Some((TraceId(1), SpanId(2), Some(true)))
    );
    let (trace, span) = ids();
    assert_eq!(
        extract(&[("b3", &other), ("traceparent", "junk")]),
        Some((trace, span, Some(false)))
    );
}

#[test]
fn a_decision_may_come_without_ids() {
    for (pairs, decision) in [
        (vec![("b3", "0")], Some(false)),
        (vec![("b3", "1")], Some(true)),
        (vec![("x-b3-sampled", "0")], Some(false)),
        (vec![("x-b3-flags", "1")], Some(true)),
        (vec![("b3", "x")], None),
        (vec![], None),
    ] {
        assert_eq!(TraceContext::bare_decision(&headers(&pairs)), decision, "{pairs:?}");
    }
}

#[test]
fn traceparent_is_written_as_specified() {
    let (trace, span) = ids();
    let mut context = TraceContext {
        trace,
        span: SpanId(9),
        parent: None,
        sampled: true,
    };
    assert_eq!(
        context.traceparent(span).to_str().unwrap(),
        format!("00-{TRACE}-{SPAN}-01")
    );
    context.sampled = false;
    context.trace = TraceId(0xa);
    assert_eq!(
        context.traceparent(SpanId(0xf0)).to_str().unwrap(),
        "00-0000000000000000000000000000000a-00000000000000f0-00"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(trace in 1_u128.., span in 1_u64.., sampled: bool) {
        let context = TraceContext { trace: TraceId(trace), span: SpanId(1), parent: None, sampled };
        let mut headers = HeaderMap::new();
        headers.insert(&TRACEPARENT, context.traceparent(SpanId(span)));
        prop_assert_eq!(TraceContext::extract(&headers), Some((TraceId(trace), SpanId(span), Some(sampled))));
    }

    #[test]
    fn no_bytes_panic_or_yield_zero_ids(bytes in proptest::collection::vec(any::<u8>(), 0..80), name in 0..6_usize) {
        check(&bytes, name)?;
    }

    #[test]
    fn nor_do_nearly_right_ones(text in "[0-9a-f]{2}-[0-9a-fA-F]{30,34}-[0-9a-f-]{14,18}-[0-9a-fd-]{0,20}", name in 0..6_usize) {
        check(text.as_bytes(), name)?;
    }
}

fn check(bytes: &[u8], name: usize) -> Result<(), TestCaseError> {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return Ok(());
    };
    let names = [&TRACEPARENT, &B3, &B3_TRACE_ID, &B3_SPAN_ID, &B3_SAMPLED, &B3_FLAGS];
    let mut headers = headers(&[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)]);
    headers.insert(names[name], value);
    let _ = TraceContext::bare_decision(&headers);
    if let Some((trace, span, _)) = TraceContext::extract(&headers) {
        prop_assert!(trace.0 != 0 && span.0 != 0);
    }
    // Whatever is accepted as W3C is, but for version, flags and what follows, the text that we would write.
    if let Some((trace, span, sampled)) = parse_traceparent(bytes) {
        let context = TraceContext {
            trace,
            span,
            parent: None,
            sampled: sampled.unwrap(),
        };
        let written = context.traceparent(span);
        prop_assert_eq!(&bytes[2..53], &written.as_bytes()[2..53]);
    }
    Ok(())
}

#[test]
fn b3_goes_out_where_it_came_or_is_asked_for() {
    let context = TraceContext {
        trace: TraceId(0xabc),
        span: SpanId(0x11),
        parent: None,
        sampled: true,
    };
    let traceparent = "00-00000000000000000000000000000abc-0000000000000022-01";
    let written = |came: &[(&'static str, &'static str)], b3, multi| {
        let mut headers = HeaderMap::new();
        for (name, value) in came {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        context.inject(SpanId(0x22), b3, multi, &mut headers);
        assert_eq!(headers["traceparent"], traceparent);
        headers
    };
    assert_eq!(written(&[], false, false).len(), 1);
    let single = "00000000000000000000000000000abc-0000000000000022-1";
    assert_eq!(written(&[], true, false)["b3"], single);
    assert_eq!(written(&[("b3", "0")], false, false)["b3"], single);
    let came = [("x-b3-traceid", "1"), ("x-b3-spanid", "2"), ("x-b3-flags", "1")];
    for headers in [written(&came, false, false), written(&[], false, true)] {
        assert_eq!(headers["x-b3-traceid"], "00000000000000000000000000000abc");
        assert_eq!(headers["x-b3-spanid"], "0000000000000022");
        assert_eq!(headers["x-b3-parentspanid"], "0000000000000011");
        assert_eq!(headers["x-b3-sampled"], "1");
        assert!(!headers.contains_key("x-b3-flags") && !headers.contains_key("b3"));
    }
}
