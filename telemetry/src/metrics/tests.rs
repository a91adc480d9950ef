#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::fixture::{Fixture, golden, workload};
use crate::{Outcome, RequestProtocol, TcpOutcome};
use request::{SpiffeId, Workload};
use std::collections::BTreeSet;
use std::time::Duration;

/// The values of a family's samples, with their labels.
fn samples<'t>(text: &'t str, name: &str) -> Vec<(&'t str, &'t str)> {
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some((labels, value)) = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('{')?.rsplit_once("} "))
        {
            found.push((labels, value));
        }
    }
    found
}

#[test]
fn a_mix_of_requests_reads_as_istio_would_write_it() {
    let metrics = Metrics::new("1.2.3");
    let fixture = Fixture::default();
    metrics.observe(&fixture.outcome());
    metrics.observe(&Outcome {
        duration: Duration::from_micros(500),
        request_bytes: 1,
        ..fixture.outcome()
    });
    metrics.observe(&Outcome {
        duration: Duration::from_micros(501),
        response_bytes: 5_000_000,
        ..fixture.outcome()
    });
    metrics.observe(&Outcome {
        protocol: RequestProtocol::Grpc,
        grpc_status: Some(14),
        request_messages: 3,
        response_messages: 4,
        ..fixture.outcome()
    });
    // Unknown at both ends, and quotes in a name.
    let nobody = Arc::new(Workload {
        app: "a\"b\\c\nd".to_owned(),
        ..Workload::default()
    });
    metrics.observe(&Outcome {
        source: &nobody,
        source_identity: None,
        destination: None,
        status: 404,
        flags: "NR",
        mtls: false,
        duration: Duration::from_secs(4_000),
        ..fixture.outcome()
    });
    metrics.tcp_opened(&fixture.tcp());
    metrics.tcp_bytes(&TcpOutcome {
        received: 10,
        sent: 20,
        ..fixture.tcp()
    });
    metrics.tcp_closed(&TcpOutcome {
        received: 1,
        sent: 2,
        ..fixture.tcp()
    });
    metrics.own.tunnels.set(3);
    metrics.own.retries.inc();
    metrics.own.handshake("untrusted");
    metrics.own.handshake("ok");
    metrics.own.handshake("ok");
    metrics.own.denial("bookinfo/deny-admin");
    metrics.own.dial_took(Duration::from_millis(3));
    metrics
        .own
        .backend_requests("bookinfo/reviews/rule-0", "reviews-v2:9080")
        .inc();
    let weight = |backend: &str, weight| crate::BackendWeight {
        route: "bookinfo/reviews/rule-0".into(),
        backend: backend.into(),
        weight,
    };
    metrics
        .own
        .set_weights(vec![weight("reviews-v1:9080", 90), weight("reviews-v2:9080", 10)]);
    // What /proc tells differs from run to run.
    let text = metrics.encode();
    let lines = text.split_inclusive('\n').filter(|line| !line.contains("process_"));
    golden("metrics.txt", &lines.collect::<String>());
}

#[test]
fn the_labels_are_istios_in_istios_order() {
    let metrics = Metrics::new("");
    let fixture = Fixture::default();
    metrics.observe(&Outcome {
        protocol: RequestProtocol::Grpc,
        grpc_status: Some(0),
        ..fixture.outcome()
    });
    metrics.tcp_opened(&fixture.tcp());
    let text = metrics.encode();
    let names = |sample: &str| -> Vec<String> {
        let (labels, _) = samples(&text, sample)[0];
        labels
            .split("\",")
            .map(|label| label.split_once('=').unwrap().0.to_owned())
            .collect()
    };
    let ends = [
        "reporter",
        "source_workload",
        "source_canonical_service",
        "source_canonical_revision",
        "source_workload_namespace",
        "source_principal",
        "source_app",
        "source_version",
        "source_cluster",
        "destination_workload",
        "destination_workload_namespace",
        "destination_principal",
        "destination_app",
        "destination_version",
        "destination_service",
        "destination_canonical_service",
        "destination_canonical_revision",
        "destination_service_name",
        "destination_service_namespace",
        "destination_cluster",
    ];
    let request = ["request_protocol", "response_code", "grpc_response_status"];
    let tail = ["response_flags", "connection_security_policy"];
    assert_eq!(names("istio_requests_total"), [&ends[..], &request, &tail].concat());
    assert_eq!(
        names("istio_request_bytes_bucket"),
        [&ends[..], &request, &tail, &["le"]].concat()
    );
    assert_eq!(
        names("istio_tcp_connections_opened_total"),
        [&ends[..], &request[..1], &tail].concat()
    );
    // Istio's message counters are reported before the request's own labels are known.
    assert_eq!(names("istio_request_messages_total"), ends);
    assert!(
        text.contains("istio_build{component=\"proxy\",tag=\"unknown\"} 1\n"),
        "{text}"
    );
}

#[test]
fn each_part_of_the_key_tells_series_apart() {
    let metrics = Metrics::new("1");
    let fixture = Fixture::default();
    let other = Fixture {
        destination: workload("reviews", "v3", None),
        ..Fixture::default()
    };
    let identity = SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/another").unwrap();
    let elsewhere = Arc::new(request::ServiceName {
        host: "other".into(),
        ..request::ServiceName::default()
    });
    let base = fixture.outcome();
    let grpc = Outcome {
        protocol: RequestProtocol::Grpc,
        grpc_status: Some(0),
        ..base.clone()
    };
    let mix = [
        base.clone(),
        Outcome {
            status: 201,
            ..base.clone()
        },
        Outcome {
            flags: "UF",
            ..base.clone()
        },
        Outcome {
            mtls: false,
            ..base.clone()
        },
        Outcome {
            source_identity: None,
            ..base.clone()
        },
        Outcome {
            source_identity: Some(&identity),
            ..base.clone()
        },
        Outcome {
            destination: None,
            ..base.clone()
        },
        Outcome {
            destination: Some(&other.destination),
            ..base.clone()
        },
        Outcome {
            source: &other.destination,
            ..base.clone()
        },
        Outcome {
            backend: Some((&elsewhere, 9080)),
            ..base.clone()
        },
        Outcome {
            backend: None,
            ..base.clone()
        },
        grpc.clone(),
        Outcome {
            grpc_status: Some(5),
            ..grpc.clone()
        },
        Outcome {
            grpc_status: None,
            ..grpc.clone()
        },
    ];
    for times in 1..=3_usize {
        mix.iter().for_each(|outcome| metrics.observe(outcome));
        let text = metrics.encode();
        let found = samples(&text, "istio_requests_total");
        assert_eq!(found.len(), mix.len());
        assert!(found.iter().all(|(_, value)| *value == times.to_string()), "{found:#?}");
    }
}

#[test]
fn the_destination_is_the_backends_service_and_not_the_one_that_was_addressed() {
    let (metrics, fixture) = (Metrics::new("1"), Fixture::default());
    let canary = Arc::new(request::ServiceName {
        host: "canary.shop.svc.cluster.local".into(),
        name: "canary".into(),
        namespace: "shop".into(),
    });
    for backend in [Some((&canary, 80)), None] {
        metrics.observe(&Outcome {
            backend,
            ..fixture.outcome()
        });
        metrics.tcp_opened(&TcpOutcome {
            backend,
            ..fixture.tcp()
        });
    }
    let text = metrics.encode();
    for name in ["istio_requests_total", "istio_tcp_connections_opened_total"] {
        let found: Vec<_> = samples(&text, name).into_iter().map(|(labels, _)| labels).collect();
        let told = |labels: &&str, [host, name, namespace]: [&str; 3]| {
            labels.contains(&format!("destination_service=\"{host}\""))
                && labels.contains(&format!("destination_service_name=\"{name}\""))
                && labels.contains(&format!("destination_service_namespace=\"{namespace}\""))
        };
        let canary = ["canary.shop.svc.cluster.local", "canary", "shop"];
        assert_eq!(found.len(), 2);
        assert!(found.iter().any(|labels| told(labels, canary)), "{found:#?}");
        assert!(found.iter().any(|labels| told(labels, ["unknown"; 3])), "{found:#?}");
    }
}

#[test]
fn pods_of_one_deployment_and_new_configurations_share_series() {
    let metrics = Metrics::new("1");
    for pod in 0..100 {
        // The old workload is dropped, its address may be given to the next.
        let fixture = Fixture::default();
        let mut destination = Workload::clone(&fixture.destination);
        destination.pod = format!("reviews-{pod}");
        let destination = Arc::new(destination);
        metrics.observe(&Outcome {
            destination: Some(&destination),
            ..fixture.outcome()
        });
    }
    let text = metrics.encode();
    let found = samples(&text, "istio_requests_total");
    assert_eq!(found.iter().map(|(_, value)| *value).collect::<Vec<_>>(), ["100"]);
}

#[test]
fn addresses_that_are_used_again_are_never_confused() {
    let metrics = Metrics::new("1");
    let fixture = Fixture::default();
    for number in 0..2_000_usize {
        let source = workload(&format!("client-{}", number % 7), "v1", None);
        metrics.observe(&Outcome {
            source: &source,
            ..fixture.outcome()
        });
    }
    let text = metrics.encode();
    let found = samples(&text, "istio_requests_total");
    let counts: Vec<_> = found.iter().map(|(_, value)| *value).collect();
    assert_eq!(counts, ["286", "286", "286", "286", "286", "285", "285"]);
}

#[test]
fn what_does_not_fit_is_counted_as_overflow_and_nothing_is_lost() {
    let metrics = Metrics::with_limit("1", 3);
    let fixture = Fixture::default();
    let sources: Vec<_> = (0..10)
        .map(|number| workload(&format!("client-{number}"), "v1", None))
        .collect();
    for _ in 0..5 {
        for source in &sources {
            let base = Outcome {
                source,
                ..fixture.outcome()
            };
            metrics.observe(&base);
            metrics.observe(&Outcome {
                protocol: RequestProtocol::Grpc,
                request_messages: 1,
                ..base
            });
            metrics.tcp_opened(&TcpOutcome {
                source,
                ..fixture.tcp()
            });
        }
    }
    let text = metrics.encode();
    for (name, wanted) in [
        ("istio_requests_total", 100),
        ("istio_request_messages_total", 50),
        ("istio_tcp_connections_opened_total", 50),
        ("istio_request_duration_milliseconds_count", 100),
    ] {
        let found = samples(&text, name);
        assert_eq!(
            found
                .iter()
                .map(|(_, value)| value.parse::<u64>().unwrap())
                .sum::<u64>(),
            wanted,
            "{name}"
        );
        let whose: BTreeSet<_> = found
            .iter()
            .map(|(labels, _)| labels.split(',').nth(1).unwrap())
            .collect();
        assert!(
            whose.contains("source_workload=\"overflow\"") && whose.len() <= 4,
            "{name}: {whose:?}"
        );
    }
    assert!(metrics.own.series_overflow.get() > 0);
    assert!(text.contains("destination_service=\"overflow\""));
}

#[test]
fn a_backend_cannot_invent_grpc_codes() {
    let metrics = Metrics::new("1");
    let fixture = Fixture::default();
    for status in [17, 99, u32::MAX] {
        let outcome = fixture.outcome();
        metrics.observe(&Outcome {
            protocol: RequestProtocol::Grpc,
            grpc_status: Some(status),
            ..outcome
        });
    }
    let text = metrics.encode();
    let found = samples(&text, "istio_requests_total");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].0.contains("grpc_response_status=\"-1\"") && found[0].1 == "3",
        "{found:?}"
    );
}

#[test]
fn buckets_hold_their_upper_bound_and_add_up() {
    let histogram = Histogram::new(&MILLISECONDS);
    for micros in [0, 500, 501, 1_000, 3_600_000_000, 3_600_000_001] {
        histogram.record(micros);
    }
    let mut text = String::new();
    Exposition::new(&mut text, Format::Text)
        .histogram("d", "a=\"b\"", &histogram, None)
        .unwrap();
    for line in [
        "d_bucket{a=\"b\",le=\"0.5\"} 2",
        "d_bucket{a=\"b\",le=\"1\"} 4",
        "d_bucket{a=\"b\",le=\"1800000\"} 4",
        "d_bucket{a=\"b\",le=\"3600000\"} 5",
        "d_bucket{a=\"b\",le=\"+Inf\"} 6",
        "d_sum{a=\"b\"} 7200002.002",
        "d_count{a=\"b\"} 6",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
}

/// What a Prometheus server checks: one TYPE before the samples, no sample twice, values are numbers, `# EOF` last.
#[test]
fn the_text_is_well_formed() {
    let metrics = Metrics::new("1");
    let fixture = Fixture::default();
    let long = "x".repeat(5_000) + "é";
    let source = Arc::new(Workload {
        name: long,
        app: "{},=\"".to_owned(),
        ..Workload::default()
    });
    metrics.observe(&Outcome {
        source: &source,
        ..fixture.outcome()
    });
    metrics.observe(&fixture.outcome());
    let text = metrics.encode();
    assert!(text.ends_with("\n# EOF\n"));
    let mut types = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut current = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split(' ').next().unwrap();
            assert!(types.insert(current), "{line}");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            assert!(seen.insert(series), "twice: {series}");
            let name = series.split('{').next().unwrap();
            let suffixes = ["", "_bucket", "_sum", "_count"];
            assert!(
                suffixes.iter().any(|suffix| name == format!("{current}{suffix}")),
                "{name} under {current}"
            );
            assert!(line.len() < 2_500, "{}", line.len());
        }
    }
    assert!(types.contains("istio_requests_total") && types.contains("waypoint_tunnels"));
}

#[test]
fn threads_lose_nothing() {
    let metrics = Metrics::new("1");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..5_000_u16 {
                    let fixture = Fixture::default();
                    metrics.observe(&Outcome {
                        status: 200 + number % 5,
                        ..fixture.outcome()
                    });
                }
            });
        }
    });
    let text = metrics.encode();
    let found = samples(&text, "istio_requests_total");
    assert_eq!(found.iter().map(|(_, value)| *value).collect::<Vec<_>>(), ["4000"; 5]);
}

/// Processor time of this thread: the machine may be busy with others.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// A measurement, not a law: `cargo test -p telemetry --config 'profile.dev.package.telemetry.opt-level=3' -- --ignored
/// --nocapture cost_of`.
#[test]
#[ignore = "a measurement"]
fn cost_of_observe() {
    let metrics = Metrics::new("1");
    let fixture = Fixture::default();
    let outcome = fixture.outcome();
    let grpc = Outcome {
        protocol: RequestProtocol::Grpc,
        grpc_status: Some(0),
        ..outcome.clone()
    };
    let rounds = 2_000_000_u32;
    for (name, outcome) in [("http", &outcome), ("grpc", &grpc)] {
        metrics.observe(outcome);
        let begun = busy();
        (0..rounds).for_each(|_| metrics.observe(std::hint::black_box(outcome)));
        println!("hit, {name}: {:?}", (busy() - begun) / rounds);
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let begun = busy();
                (0..rounds).for_each(|_| metrics.observe(std::hint::black_box(&outcome)));
                println!("hit, two threads on one series: {:?}", (busy() - begun) / rounds);
            });
        }
    });
    let sources: Vec<_> = (0..1_000_u32)
        .map(|number| workload(&format!("c-{number}"), "v1", None))
        .collect();
    let all: Vec<_> = sources
        .iter()
        .map(|source| Outcome {
            source,
            ..outcome.clone()
        })
        .collect();
    let begun = busy();
    all.iter().for_each(|outcome| metrics.observe(outcome));
    println!("first sight of a label set: {:?}", (busy() - begun) / 1_000);
    let begun = busy();
    (0..200).for_each(|_| {
        all.iter()
            .for_each(|outcome| metrics.observe(std::hint::black_box(outcome)))
    });
    println!("hit, over 1,000 sets: {:?}", (busy() - begun) / 200_000);
    let begun = busy();
    let length = metrics.encode().len();
    println!("encode 1,000 sets: {:?}, {} KB", (busy() - begun), length / 1_000);
}

#[test]
fn openmetrics_is_for_those_who_ask_and_has_exemplars() {
    let metrics = Metrics::new("1");
    let fixture = Fixture::default();
    metrics.observe(&fixture.outcome());
    metrics.observe(&Outcome {
        duration: Duration::from_secs(4_000),
        ..fixture.outcome()
    });
    let mut text = String::new();
    metrics.encode_to(&mut text, Format::OpenMetrics).unwrap();
    assert!(text.contains("# TYPE istio_requests counter\n"), "{text}");
    let with: Vec<&str> = text.lines().filter(|line| line.contains(" # {")).collect();
    assert_eq!(with.len(), 2, "{with:#?}");
    let trace = "trace_id=\"00000000000000000000000000000af7\"";
    assert!(with[0].contains("le=\"10\"} 1 # {") && with[0].ends_with("} 7.250 1769860800.123"));
    assert!(
        with[1].contains("le=\"+Inf\"} 2 # {") && with[1].contains(trace),
        "{}",
        with[1]
    );
    assert!(!metrics.encode().contains(" # {"), "Prometheus' own format has none");

    for (accept, format) in [
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            Format::OpenMetrics,
        ),
        (
            "text/plain, application/openmetrics-text; version=1.0.0; q=0.3",
            Format::OpenMetrics,
        ),
        ("application/openmetrics-text;q=0, text/plain", Format::Text),
        ("*/*", Format::Text),
        ("", Format::Text),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
    }
}

#[test]
fn unsampled_requests_leave_no_exemplar() {
    let metrics = Metrics::new("1");
    let mut fixture = Fixture::default();
    fixture.trace.sampled = false;
    metrics.observe(&fixture.outcome());
    let mut text = String::new();
    metrics.encode_to(&mut text, Format::OpenMetrics).unwrap();
    assert!(!text.contains(" # {"), "{text}");
}
