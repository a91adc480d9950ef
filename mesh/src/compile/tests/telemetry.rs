//! Which Telemetry speaks for which Service, and what several come to together.

use super::world::{GATEWAY, World, compile, compile_by, service};
use crate::{Compiler, Scope};
use std::sync::Arc;
use telemetry::Plan;

fn telemetry(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {spec}\n"
    )
}

fn mesh_config(text: &str) -> String {
    let indented = text.replace('\n', "\n    ");
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    {indented}\n"
    )
}

fn base() -> String {
    let services = service("shop", "reviews", "10.0.0.1", "") + &service("shop", "ratings", "10.0.0.2", "");
    format!("{GATEWAY}{services}")
}

fn mesh(more: &str) -> World {
    compile(&(base() + more))
}

fn plan(world: &World, authority: &str) -> Arc<Plan> {
    Arc::clone(&world.port(authority).unwrap().telemetry)
}

const REVIEWS: &str = "10.0.0.1:80";
const RATINGS: &str = "10.0.0.2:80";
const FOR_REVIEWS: &str = "targetRefs: [{kind: Service, group: '', name: reviews}]";
const FOR_GATEWAY: &str = "targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}]";
const FOR_CLASS: &str = "targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint}]";

#[test]
fn without_any_the_plan_is_the_usual_one() {
    let world = mesh("");
    assert_eq!(*plan(&world, REVIEWS), Plan::default());
    assert!(Arc::ptr_eq(&plan(&world, REVIEWS), &plan(&world, RATINGS)));
    assert!(Arc::ptr_eq(&plan(&world, REVIEWS), &world.snapshot.settings.telemetry));
}

#[test]
fn what_is_inside_goes_before_what_is_outside() {
    let sampling =
        |targets: &str, percent: u32| format!("{{{targets}, tracing: [{{randomSamplingPercentage: {percent}}}]}}");
    let all = [
        telemetry(
            "istio-system",
            "root",
            "{tracing: [{randomSamplingPercentage: 10, disableSpanReporting: true}]}",
        ),
        telemetry("shop", "namespace", "{tracing: [{randomSamplingPercentage: 20}]}"),
        telemetry("istio-system", "class", &sampling(FOR_CLASS, 30)),
        telemetry("shop", "gateway", &sampling(FOR_GATEWAY, 40)),
        telemetry("shop", "service", &sampling(FOR_REVIEWS, 50)),
        telemetry("other", "elsewhere", "{tracing: [{randomSamplingPercentage: 99}]}"),
    ];
    for (count, reviews, ratings) in [
        (1, 0.1, 0.1),
        (2, 0.2, 0.2),
        (3, 0.3, 0.3),
        (4, 0.4, 0.4),
        (5, 0.5, 0.4),
        (6, 0.5, 0.4),
    ] {
        let world = mesh(&all[..count].concat());
        assert_eq!(world.errors(), Vec::<String>::new());
        assert_eq!(plan(&world, REVIEWS).tracing().sampling, Some(reviews), "{count}");
        assert_eq!(plan(&world, RATINGS).tracing().sampling, Some(ratings), "{count}");
        assert!(
            !plan(&world, REVIEWS).tracing().report,
            "the outermost still says what nobody else says"
        );
    }
}

#[test]
fn a_mode_for_clients_is_none_of_ours() {
    let world = mesh(&telemetry(
        "shop",
        "x",
        "{tracing: [{match: {mode: CLIENT}, disableSpanReporting: true}, {match: {mode: SERVER}, randomSamplingPercentage: 7}],
          metrics: [{overrides: [{match: {metric: REQUEST_COUNT, mode: CLIENT}, disabled: true}]}]}",
    ));
    let plan = plan(&world, REVIEWS);
    assert!(plan.tracing().report);
    assert_eq!(plan.tracing().sampling, Some(0.07));
    assert_eq!(**plan.metrics(), telemetry::MetricsPlan::default());
}

#[test]
fn providers_come_from_mesh_config() {
    let config = mesh_config(
        "extensionProviders:\n- name: otel\n  opentelemetry:\n    service: observability/collector.observability.svc.cluster.local\n    port: 4318\n    http: {path: /otlp/v1/traces, timeout: 2.5s, headers: [{name: X-Tenant, value: blue}]}\n- name: grpc\n  opentelemetry: {service: collector, port: 4317}\ndefaultProviders: {tracing: [grpc]}\ndefaultConfig: {tracing: {sampling: 25, customTags: {team: {literal: {value: blue}}}}}",
    );
    let endpoint = |world: &World, at: &str| {
        plan(world, at)
            .tracing()
            .export
            .as_ref()
            .map(|export| export.endpoint.clone())
    };
    let world = mesh(
        &(config
            + &telemetry(
                "shop",
                "x",
                &format!("{{{FOR_REVIEWS}, tracing: [{{providers: [{{name: OTEL}}]}}]}}"),
            )),
    );
    assert_eq!((world.errors(), world.warnings()), (vec![], vec![]));
    let own = "http://collector.observability.svc.cluster.local:4318/otlp/v1/traces";
    assert_eq!(endpoint(&world, REVIEWS).as_deref(), Some(own));
    assert_eq!(endpoint(&world, RATINGS).as_deref(), Some("http://collector:4317"));
    let tracing = plan(&world, REVIEWS);
    let export = tracing.tracing().export.as_ref().unwrap();
    assert_eq!(export.headers, [("x-tenant".to_owned(), "blue".to_owned())]);
    assert_eq!(export.timeout.as_millis(), 2_500);
    assert_eq!(tracing.tracing().sampling, Some(0.25));
    assert_eq!(tracing.tracing().tags.len(), 1);
}

#[test]
fn the_access_log_is_what_the_innermost_says() {
    let envoy = "accessLogging: [{providers: [{name: envoy}]}]";
    let logs = |more: &str| {
        let world = mesh(more);
        (plan(&world, REVIEWS).logs(), plan(&world, RATINGS).logs())
    };
    assert_eq!(logs(&mesh_config("accessLogFile: /dev/stdout")), (true, true));
    let legacy = mesh_config("accessLogFile: /dev/stdout");
    let off = telemetry(
        "shop",
        "off",
        &format!("{{{FOR_REVIEWS}, accessLogging: [{{disabled: true}}]}}"),
    );
    assert_eq!(logs(&(legacy + &off)), (false, true));
    assert_eq!(
        logs(&telemetry("shop", "on", &format!("{{{FOR_REVIEWS}, {envoy}}}"))),
        (true, false)
    );
    let wide = telemetry("istio-system", "on", &format!("{{{envoy}}}"));
    assert_eq!(logs(&wide), (true, true));
    assert_eq!(logs(&(wide.clone() + &off)), (false, true));
    let client = telemetry(
        "shop",
        "x",
        "{accessLogging: [{match: {mode: CLIENT}, providers: [{name: envoy}]}]}",
    );
    assert_eq!(logs(&client), (false, false));
    let unnamed = telemetry(
        "shop",
        "x",
        "{accessLogging: [{filter: {expression: 'response.code >= 400'}}]}",
    );
    assert_eq!(logs(&unnamed), (true, true));
    let broken = telemetry(
        "shop",
        "x",
        "{accessLogging: [{filter: {expression: 'response.code >='}}]}",
    );
    assert_eq!(logs(&broken), (false, false), "what cannot be read logs nothing");
}

#[test]
fn the_flags_stand_between_mesh_config_and_telemetry() {
    let scope = Scope {
        access_log: Some("json".to_owned()),
        trace_sampling: Some(0.5),
        ..Scope::default()
    };
    let config = mesh_config("defaultConfig: {tracing: {sampling: 25}}");
    let world = compile_by(&mut Compiler::new(scope.clone()), &(base() + &config));
    assert_eq!(plan(&world, REVIEWS).tracing().sampling, Some(0.5));
    assert!(plan(&world, REVIEWS).logs());
    let own = telemetry(
        "shop",
        "x",
        "{tracing: [{randomSamplingPercentage: 75}], accessLogging: [{disabled: true}]}",
    );
    let world = compile_by(&mut Compiler::new(scope), &(base() + &config + &own));
    assert_eq!(plan(&world, REVIEWS).tracing().sampling, Some(0.75));
    assert!(!plan(&world, REVIEWS).logs());
}

#[test]
fn overrides_merge_metric_by_metric() {
    let world = mesh(
        &(telemetry(
            "istio-system",
            "root",
            "{metrics: [{providers: [{name: prometheus}], overrides: [{match: {metric: ALL_METRICS}, disabled: true}]}]}",
        ) + &telemetry(
            "shop",
            "x",
            &format!(
                "{{{FOR_REVIEWS}, metrics: [{{overrides: [{{match: {{metric: REQUEST_COUNT}}, tagOverrides: {{user: {{value: \"request.headers['x-user']\"}}}}}}]}}]}}"
            ),
        )),
    );
    assert_eq!((world.errors(), world.warnings()), (vec![], vec![]));
    let ratings = plan(&world, RATINGS);
    let all_off = telemetry::MetricsPlan::new(telemetry::Metric::ALL.map(|(_, metric)| {
        let change = telemetry::MetricChange {
            disabled: true,
            tags: Vec::new(),
        };
        (metric, change)
    }));
    assert_eq!(**ratings.metrics(), all_off);
    let reviews = plan(&world, REVIEWS);
    assert_ne!(**reviews.metrics(), all_off, "an override further in brings them back");
    assert_eq!(reviews.request_headers(), ["x-user"]);
}

#[test]
fn a_plan_that_does_not_change_stays_the_same() {
    let mut compiler = Compiler::new(Scope::default());
    let own = telemetry(
        "shop",
        "x",
        &format!("{{{FOR_REVIEWS}, tracing: [{{randomSamplingPercentage: 5}}]}}"),
    );
    let first = compile_by(&mut compiler, &(base() + &own));
    let second = compile_by(
        &mut compiler,
        &(base() + &own + &service("shop", "new", "10.0.0.3", "")),
    );
    assert!(Arc::ptr_eq(&plan(&first, REVIEWS), &plan(&second, REVIEWS)));
    assert!(Arc::ptr_eq(&plan(&first, RATINGS), &plan(&second, "10.0.0.3:80")));
    let third = compile_by(&mut compiler, &base());
    assert!(!Arc::ptr_eq(&plan(&second, REVIEWS), &plan(&third, REVIEWS)));
}
