#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::fixture::Fixture;
use crate::{Metrics, TcpOutcome};
use http::HeaderValue;

fn set(name: &str, value: &str) -> (Box<str>, TagChange) {
    (name.into(), TagChange::Set(Expression::parse(value).unwrap()))
}

fn counted(changes: Vec<(Metric, MetricChange)>) -> (Fixture, Metrics) {
    let metrics = Arc::new(MetricsPlan::new(changes));
    let plan = Plan::new(TracingPlan::default(), metrics, Vec::new());
    let fixture = Fixture {
        plan: Arc::new(plan),
        ..Fixture::default()
    };
    (fixture, Metrics::new("1"))
}

fn line<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .find(|line| line.starts_with(name) && line[name.len()..].starts_with('{'))
}

#[test]
fn labels_are_removed_set_and_added_for_one_metric_only() {
    let change = MetricChange {
        disabled: false,
        tags: vec![
            ("source_principal".into(), TagChange::Remove),
            set("response_code", "response.code >= 500 ? 'bad' : 'good'"),
            set("team", "'blue'"),
            set("user", "request.headers['x-user']"),
            ("not_there".into(), TagChange::Remove),
        ],
    };
    let (fixture, metrics) = counted(vec![(Metric::RequestCount, change)]);
    assert_eq!(fixture.plan.request_headers(), [HeaderName::from_static("x-user")]);
    for user in ["ann", "bob", "ann"] {
        let kept = [(HeaderName::from_static("x-user"), HeaderValue::from_static(user))];
        metrics.observe(&Outcome {
            request_headers: &kept,
            ..fixture.outcome()
        });
    }
    metrics.observe(&fixture.outcome());
    let text = metrics.encode();
    let count = |user: &str| {
        let end = format!("connection_security_policy=\"mutual_tls\",team=\"blue\",user=\"{user}\"}}");
        let found = text
            .lines()
            .find(|line| line.starts_with("istio_requests_total") && line.contains(&end));
        found
            .unwrap_or_else(|| panic!("{user}: {text}"))
            .rsplit_once(' ')
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!([count("ann"), count("bob"), count("unknown")], ["2", "1", "1"]);
    let requests = line(&text, "istio_requests_total").unwrap();
    assert!(requests.contains("response_code=\"good\"") && !requests.contains("source_principal"));
    let duration = line(&text, "istio_request_duration_milliseconds_count").unwrap();
    assert!(
        duration.contains("source_principal=") && !duration.contains("team="),
        "{duration}"
    );
    assert!(duration.ends_with(" 4"), "{duration}");
}

#[test]
fn a_disabled_metric_is_not_there() {
    let disabled = || MetricChange {
        disabled: true,
        tags: Vec::new(),
    };
    let (fixture, metrics) = counted(vec![(Metric::RequestSize, disabled()), (Metric::TcpSent, disabled())]);
    metrics.observe(&fixture.outcome());
    metrics.tcp_closed(&TcpOutcome {
        sent: 5,
        ..fixture.tcp()
    });
    let text = metrics.encode();
    assert!(
        !text.contains("istio_request_bytes") && !text.contains("istio_tcp_sent_bytes_total"),
        "{text}"
    );
    assert!(line(&text, "istio_response_bytes_count").is_some());
    assert!(line(&text, "istio_tcp_connections_closed_total").is_some());
}

#[test]
fn another_plan_counts_in_other_series() {
    let (_, metrics) = counted(Vec::new());
    let (labelled, _) = counted(vec![(
        Metric::RequestCount,
        MetricChange {
            disabled: false,
            tags: vec![set("team", "'blue'")],
        },
    )]);
    let plain = Fixture::default();
    for _ in 0..2 {
        metrics.observe(&Outcome {
            plan: &plain.plan,
            ..labelled.outcome()
        });
        metrics.observe(&labelled.outcome());
    }
    let text = metrics.encode();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("istio_requests_total{"))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines.iter().all(|line| line.ends_with(" 2")), "{lines:#?}");
    let sum = line(&text, "istio_request_duration_milliseconds_count").unwrap();
    assert!(sum.ends_with(" 4"), "what is not changed is shared: {sum}");
}

#[test]
fn a_plan_knows_what_must_be_kept_for_it() {
    let rule = |format: &str, filter: Option<&str>| LogRule {
        format: Arc::new(LogFormat::text(format).0),
        filter: filter.map(|text| Arc::new(Expression::parse(text).unwrap())),
    };
    let plan = Plan::new(
        TracingPlan {
            tags: vec![CustomTag {
                name: "u".into(),
                value: TagValue::Header(HeaderName::from_static("x-tag"), None),
            }],
            ..TracingPlan::default()
        },
        Arc::default(),
        vec![rule("%REQ(A?B)% %RESP(C)%", Some("request.headers['d'] == '1'"))],
    );
    let names = |names: &[HeaderName]| names.iter().map(HeaderName::to_string).collect::<Vec<_>>();
    assert_eq!(names(plan.request_headers()), ["a", "b", "x-tag", "d"]);
    assert_eq!(names(plan.response_headers()), ["c"]);
    assert!(plan.logs() && plan.tells_path() && !Plan::default().tells_path());
}

#[test]
fn a_variable_of_the_environment_is_read_once() {
    let tag = CustomTag::environment("home", "PATH", None).unwrap();
    assert!(matches!(tag.value, TagValue::Literal(text) if !text.is_empty()));
    let absent = "WAYPOINT_TEST_OF_A_VARIABLE_THAT_IS_NOT_SET";
    assert_eq!(CustomTag::environment("x", absent, None), None);
    assert!(CustomTag::environment("x", absent, Some("y")).is_some());
}
