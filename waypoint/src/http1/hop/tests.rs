#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn left(fields: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut headers = map(fields);
    let by_filter: Vec<String> = {
        let end_to_end = EndToEnd::of(&headers);
        headers
            .keys()
            .filter(|name| end_to_end.keeps(name))
            .map(ToString::to_string)
            .collect()
    };
    strip_hop_by_hop(&mut headers);
    let mut by_strip: Vec<String> = headers.keys().map(ToString::to_string).collect();
    by_strip.sort();
    let mut without_framing: Vec<String> = by_strip
        .iter()
        .filter(|name| *name != "te" && *name != "content-length")
        .cloned()
        .collect();
    let mut by_filter = by_filter;
    by_filter.sort();
    without_framing.sort();
    assert_eq!(by_filter, without_framing, "both ways agree");
    by_strip
}

#[test]
fn fields_for_one_connection_go() {
    let fields = [
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("accept", "x"),
        ("content-length", "3"),
        ("trailer", "x"),
    ];
    assert_eq!(left(&fields), ["accept", "content-length", "trailer"]);
}

#[test]
fn what_connection_names_goes_in_any_case_and_from_every_line() {
    let fields = [
        ("connection", "X-One, ,\tx-two"),
        ("connection", "x-three"),
        ("x-one", ""),
        ("x-two", ""),
        ("x-three", ""),
        ("x-four", ""),
    ];
    assert_eq!(left(&fields), ["x-four"]);
}

#[test]
fn connection_cannot_take_away_what_is_for_everyone() {
    let fields = [
        (
            "connection",
            "host, authorization, cookie, x-forwarded-client-cert, traceparent, content-type, x-own",
        ),
        ("host", "h"),
        ("authorization", "a"),
        ("cookie", "c"),
        ("x-forwarded-client-cert", "x"),
        ("traceparent", "t"),
        ("content-type", "t"),
        ("x-own", "x"),
    ];
    assert_eq!(
        left(&fields),
        [
            "authorization",
            "content-type",
            "cookie",
            "host",
            "traceparent",
            "x-forwarded-client-cert"
        ]
    );
}

#[test]
fn te_is_reduced_to_trailers() {
    let mut headers = map(&[("te", "gzip;q=0.5, Trailers"), ("connection", "te")]);
    strip_hop_by_hop(&mut headers);
    assert_eq!(headers.get_all(TE).iter().collect::<Vec<_>>(), ["trailers"]);
    let mut headers = map(&[("te", "gzip")]);
    strip_hop_by_hop(&mut headers);
    assert!(headers.is_empty());
}
