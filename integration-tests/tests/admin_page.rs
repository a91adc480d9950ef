//! Promise: the admin page shows what the waypoint does: a real browser opens it while requests go through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::{HeaderMap, HeaderValue};
use integration_tests::peers::chromium::Chromium;
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::http_client::{HttpClient, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Reach, Vip, backend};
use integration_tests::peers::otlp::Collector;
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A canary of 80 to 20, a policy, and something that the config asks for in vain.
async fn mesh() -> (MeshWorld, Vip, impl Sized) {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("reviews-v2", "v2", Reach::Hbone).await;
    let reviews = world.service("reviews", "http", &[v1.ip]);
    let to = |service, weight| backend(service, weight);
    world.http_route(
        "canary",
        "reviews",
        json!([{ "backendRefs": [to("reviews-v1", 80), to("reviews-v2", 20)] }]),
    );
    world.policy(
        "no-admin",
        "reviews",
        "DENY",
        json!([{ "to": [{ "operation": { "paths": ["/admin", "/admin/*"] } }] }]),
    );
    world.http_route("broken", "reviews-v2", json!([{ "backendRefs": [to("nowhere", 1)] }]));
    (world, reviews, (v1, v2))
}

/// A tunnel that says who its workload is.
async fn client(tunnel: &ClientTunnel, vip: &Vip, workload: &str) -> HttpClient {
    let mut headers = HeaderMap::new();
    let baggage = format!(
        "k8s.cluster.name=Kubernetes,k8s.namespace.name=demo,k8s.deployment.name={workload},service.name={workload}"
    );
    headers.insert("baggage", HeaderValue::from_str(&baggage).unwrap());
    let stream = tunnel.dial(&vip.authority(), headers).await.unwrap();
    HttpClient::http1(stream, &vip.host_port()).await.unwrap()
}

/// At most this many requests are sent while the browser looks.
const MOST_REQUESTS: usize = 100_000;

fn traffic(tunnel: Arc<ClientTunnel>, vip: Vip, workload: &'static str) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut http = client(&tunnel, &vip, workload).await;
        for n in 0..MOST_REQUESTS {
            let path = if n % 50 == 0 { "/admin/users" } else { "/products/7" };
            http.get(path).await;
        }
    })
}

/// With a collector: without one nothing is traced.
async fn started(world: &MeshWorld) -> (Waypoint, Collector) {
    let collector = Collector::start().await;
    let launch = Launch::default().arg("--trace-sampling", "1.0");
    let launch = launch.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.grpc));
    (world.start_with(launch).await, collector)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_sees_routes_policies_traces_findings_and_an_explanation() {
    let Some(browser) = Chromium::find() else { return };
    let (world, reviews, _pods) = mesh().await;
    let (waypoint, _collector) = started(&world).await;
    let tunnel = world.client(&waypoint);
    let load = [
        traffic(tunnel.clone(), reviews.clone(), "shop"),
        traffic(tunnel, reviews, "mobile"),
    ];
    until("requests have gone through", async || {
        waypoint.scrape().await.sum("istio_requests_total", &[]) > 500.0
    })
    .await;
    let question = "request=GET%20http://reviews.demo:80/x/../admin/users&from=demo/client";
    let url = format!("http://{}/#{question}", waypoint.admin);
    let document = browser.document(&url).await;
    for wanted in [
        // The topology.
        "shop.demo",
        "mobile.demo",
        "reviews-v2.demo:80",
        // Shares.
        "80.0 %",
        "20.0 %",
        "wanted 80.0 %, measured",
        // The policy and its last denial.
        "demo/no-admin",
        "admin/users (rule 0)",
        // The explanation.
        "written as /x/../admin/users",
        "RBAC: access denied",
        // A trace with its try.
        "└ try 1",
        "/products/7",
        // The finding.
        "no Service demo/nowhere is in the config",
        // The certificate.
        "spiffe://cluster.local/ns/demo/sa/waypoint",
    ] {
        assert!(
            document.contains(wanted),
            "the page does not show {wanted:?}:\n{document}"
        );
    }
    let state = "id=\"state\"></div>";
    assert!(
        document.contains(state),
        "the page complains:
{document}"
    );
    if let Some(to) = std::env::var_os("WAYPOINT_SCREENSHOT") {
        browser.screenshot(&url, 1250, 1150, Path::new(&to)).await;
    }
    for one in load {
        one.abort();
        let ended = one.await;
        assert!(
            ended.is_err_and(|why| why.is_cancelled()),
            "the requests ended before the browser had looked"
        );
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_curl_gets_text() {
    let world = MeshWorld::new();
    let waypoint = world.start().await;
    let text = waypoint.admin_get("/").await;
    assert!(text.header("content-type").starts_with("text/plain"), "{text:?}");
    let socket = TcpStream::connect(waypoint.admin).await.unwrap();
    let mut browser = HttpClient::http1(socket, &waypoint.admin.to_string()).await.unwrap();
    let page = browser
        .send(get_with("/", &[("accept", "text/html,application/xhtml+xml")]))
        .await;
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    for elsewhere in ["http://", "https://", "src=", "@import", "url("] {
        let found: Vec<_> = page.text().lines().filter(|line| line.contains(elsewhere)).collect();
        let allowed = |line: &&str| {
            line.contains("http://www.w3.org/2000/svg")
                || line.contains("GET http://")
                || line.contains("GET%20http://")
        };
        assert!(found.iter().all(allowed), "{elsewhere}: {found:?}");
    }
}
