//! `OTEL_*`.

use super::*;
use crate::otlp::Signal;

fn read(pairs: &[(&str, &str)]) -> Result<Option<Export>, String> {
    let var = |name: &str| {
        pairs
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    Export::from_env(Signal::Traces, &var)
}

#[test]
fn nothing_set_is_nothing_exported() {
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(None));
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
    assert_eq!(read(&[endpoint, ("OTEL_SDK_DISABLED", "True")]), Ok(None));
    assert_eq!(read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
}

#[test]
fn endpoints_follow_the_specification() {
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    for (pairs, endpoint, sent_to, protocol) in [
        (
            vec![(general, "http://c:4317")],
            "http://c:4317",
            "http://c:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            ExportProtocol::Grpc,
        ),
        (
            vec![(general, "c:4317")],
            "http://c:4317",
            "http://c:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            ExportProtocol::Grpc,
        ),
        (
            vec![(general, "http://c:4318")],
            "http://c:4318/v1/traces",
            "http://c:4318/v1/traces",
            ExportProtocol::HttpProtobuf,
        ),
        (
            vec![(general, "http://c:80/otlp/"), http],
            "http://c:80/otlp/v1/traces",
            "http://c:80/otlp/v1/traces",
            ExportProtocol::HttpProtobuf,
        ),
        (
            vec![(general, "http://no:1"), (traces, "http://c:80/spans"), http],
            "http://c:80/spans",
            "http://c:80/spans",
            ExportProtocol::HttpProtobuf,
        ),
        (
            vec![(traces, "http://c:4318"), http],
            "http://c:4318",
            "http://c:4318/v1/traces",
            ExportProtocol::HttpProtobuf,
        ),
    ] {
        let export = read(&pairs).unwrap().unwrap();
        assert_eq!(
            (export.endpoint.as_str(), export.protocol),
            (endpoint, protocol),
            "{pairs:?}"
        );
        assert_eq!(export.uri(Signal::Traces).unwrap(), sent_to, "{pairs:?}");
    }
}

#[test]
fn the_traces_variables_win() {
    let export = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "Authorization=Basic%20eA%3D%3D, x-tenant = blue ,",
        ),
    ]);
    let headers = vec![
        ("authorization".into(), "Basic eA==".into()),
        ("x-tenant".into(), "blue".into()),
    ];
    let timeout = Duration::from_millis(2_500);
    let wanted = Export {
        endpoint: "http://c:4318".into(),
        protocol: ExportProtocol::Grpc,
        headers,
        timeout,
    };
    assert_eq!(export, Ok(Some(wanted)));
}

#[test]
fn errors_name_the_variable_and_never_a_secret() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    for (pairs, said) in [
        (
            vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://")],
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: expected",
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://c")],
            "expected `http://host:port`",
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:p@c")],
            "without user info",
        ),
        (
            vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
            "found `http/json`",
        ),
        (
            vec![endpoint, ("OTEL_EXPORTER_OTLP_TIMEOUT", "0")],
            "OTEL_EXPORTER_OTLP_TIMEOUT: expected milliseconds",
        ),
        (vec![endpoint, ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")], "found `10s`"),
        (
            vec![endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,secret")],
            "entry 2 is not `key=value`",
        ),
        (
            vec![endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0a")],
            "entry 1 is not",
        ),
        (
            vec![endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%f")],
            "entry 1 is not",
        ),
    ] {
        let error = read(&pairs).unwrap_err();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

fn tracer(pairs: &[(&str, &str)]) -> Result<TracerEnvironment, String> {
    TracerEnvironment::read(&|name: &str| {
        let found = pairs.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_tracers_own_variables_are_read() {
    assert_eq!(tracer(&[]), Ok(TracerEnvironment::default()));
    let read = tracer(&[
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=a,deployment.environment=pro%64,",
        ),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_PROPAGATORS", "tracecontext, baggage,b3"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "250"),
    ]);
    let read = read.unwrap();
    assert_eq!(read.service_name.as_deref(), Some("a"));
    assert_eq!(
        read.resource,
        [("deployment.environment".to_owned(), "prod".to_owned())]
    );
    let sampler = Sampler {
        share: 0.25,
        parent_based: true,
    };
    assert_eq!(read.sampler, Some(sampler));
    assert!(read.propagation.b3 && !read.propagation.b3_multi);
    assert_eq!((read.batch.queue, read.batch.age), (100, Duration::from_millis(250)));
    let named = tracer(&[
        ("OTEL_SERVICE_NAME", "b"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a"),
    ]);
    assert_eq!(named.unwrap().service_name.as_deref(), Some("b"));
    for (name, value) in [
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_PROPAGATORS", "jaeger"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_RESOURCE_ATTRIBUTES", "x"),
    ] {
        assert!(tracer(&[(name, value)]).unwrap_err().starts_with(name), "{name}");
    }
}

#[test]
fn metrics_are_pushed_only_where_somebody_asks() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318");
    let read = |pairs: &[(&str, &str)]| {
        Export::from_env(Signal::Metrics, &|name: &str| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(read(&[endpoint]), Ok(None));
    let export = read(&[endpoint, ("OTEL_METRICS_EXPORTER", "prometheus,otlp")])
        .unwrap()
        .unwrap();
    assert_eq!(export.endpoint, "https://c:4318/v1/metrics");
}
