//! Promise: what `deploy/examples` and `docs` say of metrics is true: every name is one that the binary exposes, and every
//! query of a rollout, an alert or an autoscaler has an answer from a real Prometheus while a canary is under way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach, backend};
use integration_tests::peers::prometheus::Prometheus;
use integration_tests::peers::waypoint_process::fetch;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut found: Vec<_> = std::fs::read_dir(&root)
        .unwrap_or_else(|why| panic!("{}: {why}", root.display()))
        .map(|file| file.unwrap().path())
        .collect();
    found.retain(|path| path.extension().is_some_and(|ext| ext == extension));
    found
}

/// Everything in `text` that looks like the name of a metric of ours or of Istio's.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_name = |word: &&str| (word.starts_with("waypoint_") || word.starts_with("istio_")) && !word.ends_with('_');
    words.filter(is_name).map(str::to_owned).collect()
}

/// The names that a scrape describes, with those of a histogram's parts; and those that `telemetry` describes when there is
/// something to count.
fn exposed(scrape: &str) -> BTreeSet<String> {
    let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../telemetry/src/own.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let mut found: BTreeSet<_> = source.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    for (name, kind) in types.filter_map(|line| line.split_once(' ')) {
        found.insert(name.to_owned());
        if kind == "histogram" {
            found.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
    }
    found
}

/// The queries in a manifest: values of `query` and `expr`, wherever they are.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(text) if name == "query" || name == "expr" => found.push(text.to_owned()),
                    _ => queries(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

/// As Prometheus would be asked here: the tools' variables filled in, over the last seconds, without an alert's threshold.
fn asked(query: &str) -> String {
    let mut query = query.trim().replace("\"shop\"", &format!("\"{NAMESPACE}\""));
    for (variable, value) in [
        ("{{ namespace }}", NAMESPACE),
        ("{{ target }}", "reviews"),
        ("{{ interval }}", "20s"),
    ] {
        query = query.replace(variable, value);
    }
    for range in ["[1m]", "[5m]"] {
        query = query.replace(range, "[20s]");
    }
    // A label that the Prometheus operator's scrapes have, and this one's do not.
    query = query.replace(&format!("in_flight{{namespace=\"{NAMESPACE}\"}}"), "in_flight");
    match query.rfind([' ', '\n']) {
        Some(end) if [" >", " <"].iter().any(|sign| query[..end].ends_with(sign)) => query[..end - 2].to_owned(),
        _ => query,
    }
}

/// A canary of `reviews`: the Deployment `reviews` of version `canary`, beside `reviews-primary`.
async fn canary(world: &mut MeshWorld) -> integration_tests::peers::mesh_world::Vip {
    let canary = world.echo("reviews", "canary", Reach::Hbone).await;
    let primary = world.echo("reviews-primary", "stable", Reach::Hbone).await;
    let shares = json!([{ "backendRefs": [backend("reviews", 50), backend("reviews-primary", 50)] }]);
    world.http_route("reviews", "reviews", shares);
    let vip = canary.vip.clone();
    // Both serve until the test process ends.
    std::mem::forget((canary, primary));
    vip
}

/// More than this many rounds of traffic are never sent.
const MOST_ROUNDS: usize = 40;

#[tokio::test]
async fn every_name_is_exposed_and_every_query_has_an_answer() {
    let mut world = MeshWorld::new();
    let vip = canary(&mut world).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    client.get(&vip, "/").await;
    let scrape = fetch(waypoint.metrics, "/stats/prometheus").await.unwrap();
    let exposed = exposed(scrape.text());
    let mut queries_of = Vec::new();
    for file in files("deploy/examples", "yaml").into_iter().chain(files("docs", "md")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let unknown: Vec<_> = names(&text).difference(&exposed).cloned().collect();
        assert!(unknown.is_empty(), "{}: no such metric: {unknown:?}", file.display());
        if file.extension().is_some_and(|ext| ext == "yaml") {
            for object in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
                queries(&object, &mut queries_of);
            }
        }
    }
    assert!(queries_of.len() >= 8, "{queries_of:#?}");
    let Some(prometheus) = Prometheus::start(waypoint.metrics, "/stats/prometheus").await else {
        return;
    };
    let mut waiting: Vec<_> = queries_of.iter().map(|query| asked(query)).collect();
    for _ in 0..MOST_ROUNDS {
        for path in ["/", "/do/status/500"].repeat(4) {
            client.get(&vip, path).await;
        }
        prometheus.scraped().await;
        let mut left = Vec::new();
        for query in waiting {
            let samples = prometheus
                .query(&query)
                .await
                .unwrap_or_else(|why| panic!("{query}\n{why}"));
            if samples.iter().all(|(_, value)| value.is_nan()) {
                left.push(query);
            }
        }
        waiting = left;
        if waiting.is_empty() {
            return;
        }
    }
    panic!(
        "no answer after {MOST_ROUNDS} rounds of traffic:\n{}",
        waiting.join("\n")
    );
}
