//! What the README promises of memory: look-ups and decisions allocate nothing, a plain rule holds less than 1 KiB; and what
//! telemetry takes of a request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use allocation_counter::measure;
use http::HeaderMap;
use micro_benches::{Asked, Asks, Judged, NAMESPACE, RuleKind, Tokens, Told, World, first_port, tracer};
use telemetry::Metrics;

const RULE_BYTES: i64 = 1 << 10;

#[test]
fn a_look_up_allocates_nothing() {
    let world = World {
        services: 1,
        routes: 1_000,
        rules: 1,
        rule: RuleKind::Rich,
    };
    let (_, _, snapshot) = world.compile();
    let table = first_port(&snapshot).routes(NAMESPACE);
    for (target, matches) in [("/exact/999/0", true), ("/api/999/0/x?y=z", true), ("/none", false)] {
        let asked = Asked::get(target, &[("x-version", "v1")]);
        let request = asked.request();
        let mut found = false;
        let allocated = measure(|| found = table.find(&request).is_some());
        assert_eq!(found, matches, "{target}");
        assert_eq!(allocated.count_total, 0, "{target}");
    }
}

#[test]
fn telling_of_a_request_that_is_not_sampled_allocates_nothing() {
    let (told, spans, metrics) = (Told::new(), tracer(0.0, 1), Metrics::new("test"));
    let headers = HeaderMap::new();
    metrics.observe(&told.outcome(&spans.begin(told.plan(), &headers)));
    let allocated = measure(|| {
        let trace = spans.begin(told.plan(), &headers);
        metrics.observe(&told.outcome(&trace));
    });
    assert_eq!(allocated.count_total, 0);
}

/// One for the texts, one for the attempts, the place in the queue.
#[test]
fn a_sampled_request_leaves_a_small_record() {
    let (told, spans) = (Told::new(), tracer(1.0, 64));
    let trace = spans.begin(told.plan(), &HeaderMap::new());
    let outcome = told.outcome(&trace);
    spans.record(&outcome);
    let allocated = measure(|| spans.record(&outcome));
    assert!(allocated.count_total <= 6, "{} allocations", allocated.count_total);
    assert!(allocated.bytes_total < 4 << 10, "{} bytes", allocated.bytes_total);
}

/// Neither does a decision by 500 rules, nor a token that is known.
#[test]
fn a_decision_and_a_known_token_allocate_nothing() {
    for asks in [Asks::CallerAndPath, Asks::NamespaceAndHeader, Asks::AddressAndHeader] {
        let judged = Judged::new(asks);
        for judge in [Judged::allow, Judged::refuse] {
            let mut as_wanted = false;
            let allocated = measure(|| as_wanted = judge(&judged));
            assert!(as_wanted, "{asks:?}");
            assert_eq!(allocated.count_total, 0, "{asks:?}");
        }
    }
    let tokens = Tokens::es256();
    assert!(tokens.verify());
    let mut known = false;
    let allocated = measure(|| known = tokens.verify());
    assert!(known);
    assert_eq!(allocated.count_total, 0);
}

/// In a route of sixteen, and with all that is kept of it: the parsed object, the compiled route, the index, what makes
/// the next compile quick.
#[test]
fn a_plain_rule_holds_less_than_1_kib() {
    let world = World {
        services: 10,
        routes: 1_000,
        rules: 16,
        rule: RuleKind::Plain,
    };
    let objects = world.objects();
    let mut kept = None;
    let allocated = measure(|| kept = Some(World::compile_objects(objects.clone())));
    let per_rule = allocated.bytes_current / i64::try_from(world.routes * world.rules).unwrap();
    assert!(per_rule < RULE_BYTES, "{per_rule} bytes a rule");
    println!("{per_rule} bytes a rule");
}

const ROUTE_BYTES: i64 = 1_600;

/// A route of one rule, with all that is kept of it.
#[test]
fn a_route_of_one_rule_holds_less_than_1600_bytes() {
    let world = World {
        services: 10,
        routes: 5_000,
        rules: 1,
        rule: RuleKind::Plain,
    };
    let objects = world.objects();
    let without = objects.len() - world.routes;
    let held = |objects: &[serde_json::Value]| {
        let mut kept = None;
        measure(|| kept = Some(World::compile_objects(objects.to_vec()))).bytes_current
    };
    let per_route = (held(&objects) - held(&objects[..without])) / i64::try_from(world.routes).unwrap();
    println!("{per_route} bytes a route");
    assert!(per_route < ROUTE_BYTES, "{per_route} bytes a route");
}

const SERVICE_BYTES: i64 = 12 << 10;
const ENDPOINT_BYTES: i64 = 2 << 10;

/// A Service with its EndpointSlice and one endpoint, and each endpoint more: `docs/scale.md` tells what they are with their
/// Pods, in a process.
#[test]
fn a_service_holds_less_than_12_kib_and_an_endpoint_less_than_2() {
    let world = World {
        services: 1_000,
        routes: 0,
        rules: 0,
        rule: RuleKind::Plain,
    };
    let held = |objects: &[serde_json::Value]| {
        let mut kept = None;
        measure(|| kept = Some(World::compile_objects(objects.to_vec()))).bytes_current
    };
    let services = i64::try_from(world.services).unwrap();
    let with_one = held(&world.objects()) / services;
    let mut objects = world.objects();
    for (number, slice) in objects
        .iter_mut()
        .filter(|object| object["kind"] == "EndpointSlice")
        .enumerate()
    {
        let more = (0..10).map(|pod| {
            let address = format!("10.{}.{}.{pod}", 100 + number / 256, number % 256);
            serde_json::json!({ "addresses": [address], "conditions": { "ready": true } })
        });
        slice["endpoints"].as_array_mut().unwrap().extend(more);
    }
    let endpoint = (held(&objects) / services - with_one) / 10;
    println!("{with_one} bytes a Service with one endpoint, {endpoint} an endpoint more");
    assert!(with_one < SERVICE_BYTES, "{with_one} bytes a Service");
    assert!(endpoint < ENDPOINT_BYTES, "{endpoint} bytes an endpoint");
}
