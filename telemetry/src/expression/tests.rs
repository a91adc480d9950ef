#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::Outcome;
use crate::fixture::Fixture;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

fn holds(text: &str) -> bool {
    let fixture = Fixture::default();
    let request = [(HeaderName::from_static("x-user"), HeaderValue::from_static("ann"))];
    let outcome = Outcome {
        request_headers: &request,
        status: 503,
        flags: "UF,DI",
        ..fixture.outcome()
    };
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    expression.holds(&Ended::Request(&outcome))
}

#[test]
fn what_people_filter_by_holds() {
    for text in [
        "response.code >= 400",
        "response.code >= 500 && response.code < 600",
        "response.code == 503 || response.code == 504",
        "response.code in [502, 503]",
        "!(response.code == 200)",
        "request.duration > duration('7ms') && response.duration < duration(\"1s\")",
        "connection.mtls",
        "connection.mtls == true",
        "request.url_path.startsWith('/reviews')",
        "request.path.contains('full=1') && request.path.endsWith('=1')",
        "has(request.headers['x-user'])",
        "!has(request.headers['x-other']) && request.headers['X-User'] == 'ann'",
        "has(request.headers.foo) || response.code >= 400",
        "request.method == 'GET' ? response.code != 200 : false",
        "response.flags != 0",
        "trace.sampled",
        "request.host == \"reviews:9080\"",
        "request.headers['x-other'] == 'x' || true",
        "source.address.startsWith('10.')",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn what_does_not_hold_or_cannot_be_said_does_not() {
    for text in [
        "response.code < 400",
        "request.headers['x-other'] == 'x'",
        "!(request.headers['x-other'] == 'x')",
        "response.code == '503'",
        "has(response.grpc_status)",
        "request.method",
        "connection.requested_server_name == ''",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn the_value_of_a_tag_is_text() {
    let fixture = Fixture::default();
    let outcome = fixture.outcome();
    let text = |text: &str| {
        let expression = Expression::parse(text).unwrap();
        expression.text(&Ended::Request(&outcome)).map(Cow::into_owned)
    };
    assert_eq!(text("request.host").as_deref(), Some("reviews:9080"));
    assert_eq!(text("response.code").as_deref(), Some("200"));
    assert_eq!(text("string(destination.port)").as_deref(), Some("9080"));
    assert_eq!(text("request.method + '-' + 'x'").as_deref(), Some("GET-x"));
    assert_eq!(text("has(request.headers['a']) ? 'yes' : 'no'").as_deref(), Some("no"));
    assert_eq!(text("request.headers['a']"), None);
    assert_eq!(Expression::parse("'blue'").unwrap().constant(), Some("blue"));
    assert_eq!(Expression::parse("request.host").unwrap().constant(), None);
}

#[test]
fn what_is_not_kept_of_cel_is_refused_with_a_reason() {
    for (text, said) in [
        ("", "expected a value, found the end"),
        ("response.code >", "expected a value"),
        ("response.codes > 1", "`response.codes` is no attribute"),
        ("metadata.x == 1", "is no attribute"),
        ("size(request.path) > 3", "the function `size` is not supported"),
        ("request.path.matches('x')", "`.matches` is not supported"),
        ("response.code > 1.5", "fraction"),
        ("'open", "at the end of a text"),
        ("response.code == 1 2", "an operator or the end"),
        ("duration('1y') < request.duration", "a duration such as"),
        ("(response.code == 1", "`)`"),
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
    }
    let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
    assert!(Expression::parse(&deep).unwrap_err().contains("levels"));
    assert!(
        Expression::parse(&format!("{}true", "!".repeat(1_000)))
            .unwrap_err()
            .contains("levels")
    );
    assert!(Expression::parse(&"a".repeat(5_000)).unwrap_err().contains("bytes"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "[-a-z.'\"()<>=!&|?:+,0-9\\[\\] \\\\]{0,60}") {
        if let Ok(expression) = Expression::parse(&text) {
            let fixture = Fixture::default();
            let _ = expression.text(&Ended::Request(&fixture.outcome()));
            let _ = expression.holds(&Ended::Connection(&fixture.tcp()));
        }
    }
}
