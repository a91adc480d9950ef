//! What a request looks like as spans.

use super::*;
use crate::{Rehearsal, RequestProtocol};
use http::HeaderName;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::fmt::Write;

fn shaped(outcome: &Outcome<'_>) -> Vec<Span> {
    let encoded = Shape::new(&config(None)).request(&[Record::of(outcome, &Arc::new(somewhere().unwrap()))]);
    let mut request = ExportTraceServiceRequest::decode(&*encoded).unwrap();
    request.resource_spans.remove(0).scope_spans.remove(0).spans
}

fn attribute<'s>(span: &'s Span, key: &str) -> Option<&'s Value> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key == key)?
        .value
        .as_ref()?
        .value
        .as_ref()
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.to_owned()))
}

fn failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == 2)
}

/// One line for each fact.
fn render(spans: &[Span]) -> String {
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    };
    let mut out = String::new();
    for span in spans {
        writeln!(
            out,
            "span {:?} kind {} status {:?}",
            span.name,
            span.kind,
            span.status.as_ref().map(|s| s.code)
        )
        .unwrap();
        let ids = [&span.trace_id, &span.span_id, &span.parent_span_id].map(|id| hex(id));
        writeln!(out, "  ids {} flags {:#x}", ids.join(" "), span.flags).unwrap();
        writeln!(
            out,
            "  from {} to {}",
            span.start_time_unix_nano, span.end_time_unix_nano
        )
        .unwrap();
        for attribute in &span.attributes {
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            writeln!(out, "  {} = {:?}", attribute.key, value.unwrap()).unwrap();
        }
        for event in &span.events {
            let told = event.attributes.iter().map(|attribute| {
                let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
                format!(" {} = {:?}", attribute.key, value.unwrap())
            });
            let told: String = told.collect();
            writeln!(out, "  event {} at {}:{told}", event.name, event.time_unix_nano).unwrap();
        }
    }
    out
}

#[test]
fn a_request_with_a_retry_becomes_three_spans() {
    let fixture = Fixture::default();
    golden_spans("spans.txt", &fixture.outcome());
}

#[test]
fn a_denied_grpc_call_tells_its_policy() {
    let fixture = Fixture::default();
    golden_spans(
        "spans-denied.txt",
        &Outcome {
            protocol: RequestProtocol::Grpc,
            grpc_status: Some(7),
            method: "POST",
            path: "/shop.Reviews/Get",
            http_version: "HTTP/2",
            details: "rbac_access_denied_matched_policy[ns[bookinfo]-policy[deny]-rule[0]]",
            policy: Some("bookinfo/deny"),
            rehearsed: &[
                Rehearsal {
                    is_deny: true,
                    result: "allowed",
                    policy: None,
                },
                Rehearsal {
                    is_deny: false,
                    result: "allowed",
                    policy: Some("ns[bookinfo]-policy[readers]-rule[1]".into()),
                },
            ],
            route: None,
            destination: None,
            upstream_address: None,
            tries: &[],
            ..fixture.outcome()
        },
    );
}

fn golden_spans(name: &str, outcome: &Outcome<'_>) {
    crate::fixture::golden(name, &render(&shaped(outcome)));
}

#[test]
fn ids_link_client_to_waypoint_to_workload() {
    let fixture = Fixture::default();
    let spans = shaped(&fixture.outcome());
    assert_eq!(spans[0].parent_span_id, fixture.trace.parent.unwrap().0.to_be_bytes());
    for (span, attempt) in spans[1..].iter().zip(&fixture.tries) {
        assert_eq!(span.parent_span_id, spans[0].span_id);
        assert_eq!(
            span.span_id,
            attempt.span.0.to_be_bytes(),
            "what the workload was told is its parent"
        );
        assert_eq!(span.trace_id, spans[0].trace_id);
        assert!(span.start_time_unix_nano >= spans[0].start_time_unix_nano);
        assert!(span.end_time_unix_nano <= spans[0].end_time_unix_nano);
    }
}

#[test]
fn a_request_that_was_routed_nowhere_names_no_service_and_no_cluster() {
    let fixture = Fixture::default();
    let base = fixture.outcome();
    let names = [
        "upstream_cluster",
        "upstream_cluster.name",
        "istio.destination_service",
        "istio.destination_service_name",
    ];
    for (backend, is_told) in [(base.backend, true), (None, false)] {
        let spans = shaped(&Outcome {
            backend,
            tries: &[],
            ..base.clone()
        });
        for name in names {
            assert_eq!(attribute(&spans[0], name).is_some(), is_told, "{name}");
        }
    }
}

#[test]
fn failures_follow_the_conventions() {
    let fixture = Fixture::default();
    let base = fixture.outcome();
    let grpc = |status| Outcome {
        protocol: RequestProtocol::Grpc,
        grpc_status: Some(status),
        ..base.clone()
    };
    for (outcome, server, client) in [
        (base.clone(), false, false),
        (
            Outcome {
                status: 404,
                ..base.clone()
            },
            false,
            false,
        ),
        (
            Outcome {
                status: 503,
                ..base.clone()
            },
            true,
            false,
        ),
        (grpc(0), false, false),
        (grpc(5), false, true),
        (grpc(14), true, true),
    ] {
        let spans = shaped(&outcome);
        let what = (outcome.status, outcome.grpc_status);
        assert_eq!((failed(&spans[0]), failed(&spans[2])), (server, client), "{what:?}");
        assert!(failed(&spans[1]), "the refused connection");
        assert_eq!(attribute(&spans[1], "error.type").cloned(), text("connection_refused"));
        assert_eq!(attribute(&spans[0], "error.type").is_some(), server, "{what:?}");
    }
}

#[test]
fn no_query_and_so_no_token_gets_into_a_span() {
    let fixture = Fixture::default();
    let spans = shaped(&Outcome {
        path: "/x?access_token=secret",
        ..fixture.outcome()
    });
    assert_eq!(attribute(&spans[0], "url.path").cloned(), text("/x"));
    assert!(!render(&spans).contains("secret"));
}

#[test]
fn a_plan_adds_tags_and_may_leave_istios_out() {
    let tag = |name: &str, value| CustomTag {
        name: name.into(),
        value,
    };
    let header = HeaderName::from_static("x-user");
    let absent = HeaderName::from_static("x-absent");
    let fixture = Fixture {
        plan: plan(TracingPlan {
            tags: vec![
                tag("team", TagValue::Literal("blue".into())),
                tag("user", TagValue::Header(header.clone(), None)),
                tag("default", TagValue::Header(absent.clone(), Some("nobody".into()))),
                tag("nothing", TagValue::Header(absent, None)),
            ],
            istio_tags: false,
            ..TracingPlan::default()
        }),
        ..Fixture::default()
    };
    let kept = [(header, HeaderValue::from_static("ann"))];
    let spans = shaped(&Outcome {
        request_headers: &kept,
        ..fixture.outcome()
    });
    for span in &spans {
        assert_eq!(attribute(span, "team"), text("blue").as_ref());
        assert_eq!(attribute(span, "user"), text("ann").as_ref());
        assert_eq!(attribute(span, "default"), text("nobody").as_ref());
        assert_eq!(attribute(span, "nothing"), None);
        assert!(
            span.attributes
                .iter()
                .all(|attribute| !attribute.key.starts_with("istio."))
        );
        assert!(attribute(span, "node_id").is_some());
    }
}
