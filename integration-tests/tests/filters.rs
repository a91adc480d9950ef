//! Promise: what a rule or a backendRef changes (headers, host, path, redirect) is what arrives, and nothing else changes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{HttpClient, Reply, get_with, post};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, backend};
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::{Value, json};

struct Mesh {
    world: MeshWorld,
    waypoint: Waypoint,
    echo: Pod<Echo>,
}

impl Mesh {
    /// An echo backend behind these rules.
    async fn start(rules: Value) -> Self {
        let mut world = MeshWorld::new();
        let echo = world.echo("echo", "v1", Reach::Hbone).await;
        world.http_route("echo", "echo", rules);
        let waypoint = world.start().await;
        Self { world, waypoint, echo }
    }

    /// HTTP/1.1 and HTTP/2: filters are the same to both.
    async fn clients(&self) -> [HttpClient; 2] {
        let client = self.world.client(&self.waypoint);
        [client.http1(&self.echo.vip).await, client.http2(&self.echo.vip).await]
    }
}

/// A rule for a path prefix with one filter on `echo`.
fn rule(prefix: &str, filter: Value) -> Value {
    json!({ "matches": [{ "path": { "type": "PathPrefix", "value": prefix } }], "filters": [filter],
        "backendRefs": [backend("echo", 1)] })
}

/// The same without a backend, as a redirect is.
fn redirect(prefix: &str, redirect: Value) -> Value {
    json!({ "matches": [{ "path": { "type": "PathPrefix", "value": prefix } }],
        "filters": [{ "type": "RequestRedirect", "requestRedirect": redirect }] })
}

fn rewrite(prefix: &str, rewrite: Value) -> Value {
    rule(prefix, json!({ "type": "URLRewrite", "urlRewrite": rewrite }))
}

fn replace_full(path: &str) -> Value {
    json!({ "type": "ReplaceFullPath", "replaceFullPath": path })
}

fn replace_prefix(prefix: &str) -> Value {
    json!({ "type": "ReplacePrefixMatch", "replacePrefixMatch": prefix })
}

fn seen(reply: &Reply, name: &str) -> String {
    reply.seen_header(name).unwrap_or_else(|| "-".into())
}

#[tokio::test]
async fn request_headers_of_the_rule_then_of_the_backend() {
    let modifier = |kind: &str, x: Value| json!({ "type": kind, "requestHeaderModifier": x });
    let of_rule = modifier(
        "RequestHeaderModifier",
        json!({ "set": [{ "name": "X-Set", "value": "rule" }, { "name": "X-Both", "value": "rule" }],
            "add": [{ "name": "X-Add", "value": "rule" }], "remove": ["X-Remove", "X-Absent"] }),
    );
    let of_backend = modifier(
        "RequestHeaderModifier",
        json!({ "set": [{ "name": "x-both", "value": "backend" }], "add": [{ "name": "x-add", "value": "backend" }] }),
    );
    let mut to = backend("echo", 1);
    to["filters"] = json!([of_backend]);
    let mesh = Mesh::start(json!([{ "filters": [of_rule], "backendRefs": [to] }])).await;
    for mut client in mesh.clients().await {
        let sent = [
            ("x-set", "1"),
            ("x-set", "2"),
            ("x-add", "client"),
            ("x-remove", "1"),
            ("x-remove", "2"),
            ("x-other", "as it was"),
        ];
        let reply = client.send(get_with("/a?b=c", &sent)).await;
        assert_eq!(seen(&reply, "x-set"), "rule", "set replaces all");
        assert_eq!(seen(&reply, "x-add"), "client,rule,backend", "add keeps what is there");
        assert_eq!(seen(&reply, "x-both"), "backend", "the backend's come after the rule's");
        assert_eq!(seen(&reply, "x-remove"), "-", "remove takes all");
        assert_eq!(seen(&reply, "x-other"), "as it was");
        assert_eq!((reply.field("path"), reply.field("query")), ("/a".into(), "b=c".into()));
        let bare = client.send(get_with("/", &[])).await;
        assert_eq!(
            (seen(&bare, "x-set"), seen(&bare, "x-add")),
            ("rule".into(), "rule,backend".into())
        );
    }
}

#[tokio::test]
async fn response_headers_of_the_backend_then_of_the_rule() {
    let modifier = |x: Value| json!({ "type": "ResponseHeaderModifier", "responseHeaderModifier": x });
    let of_rule = modifier(
        json!({ "set": [{ "name": "X-Both", "value": "rule" }, { "name": "X-Backend", "value": "hidden" }],
        "add": [{ "name": "X-Add", "value": "rule" }] }),
    );
    let of_backend = modifier(
        json!({ "set": [{ "name": "X-Both", "value": "backend" }], "add": [{ "name": "X-Add", "value": "backend" }],
        "remove": ["Content-Type"] }),
    );
    let mut to = backend("echo", 1);
    to["filters"] = json!([of_backend]);
    let mesh = Mesh::start(json!([{ "filters": [of_rule], "backendRefs": [to] }])).await;
    for mut client in mesh.clients().await {
        let reply = client.get("/").await;
        let all = |name: &str| -> Vec<_> {
            reply
                .headers
                .get_all(name)
                .iter()
                .map(|v| v.to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(all("x-both"), ["rule"], "the rule has the last word");
        assert_eq!(all("x-add"), ["backend", "rule"]);
        assert_eq!(all("x-backend"), ["hidden"]);
        assert_eq!(all("content-type"), Vec::<String>::new());
        assert_eq!(reply.field("path"), "/", "the body is as it was");
    }
}

#[tokio::test]
async fn redirects() {
    let mesh = Mesh::start(json!([
        redirect("/host", json!({ "hostname": "example.org" })),
        redirect("/status", json!({ "hostname": "example.org", "statusCode": 301 })),
        redirect(
            "/https",
            json!({ "scheme": "https", "hostname": "example.org", "port": 443 })
        ),
        redirect("/port", json!({ "hostname": "example.org", "port": 8443 })),
        redirect(
            "/http",
            json!({ "scheme": "http", "hostname": "example.org", "port": 80 })
        ),
        redirect("/same-host", json!({ "path": replace_full("/elsewhere") })),
        redirect(
            "/full",
            json!({ "hostname": "example.org", "path": replace_full("/new/path") })
        ),
        redirect(
            "/old",
            json!({ "hostname": "example.org", "path": replace_prefix("/new") })
        ),
        redirect(
            "/gone",
            json!({ "hostname": "example.org", "path": replace_prefix("/") })
        ),
    ]))
    .await;
    let cases = [
        ("/host/a?b=c%20d", 302, "http://example.org/host/a?b=c%20d"),
        ("/status", 301, "http://example.org/status"),
        ("/https", 302, "https://example.org/https"),
        ("/port", 302, "http://example.org:8443/port"),
        ("/http", 302, "http://example.org/http"),
        ("/same-host/x", 302, "http://echo/elsewhere"),
        ("/full/x?q=1", 302, "http://example.org/new/path?q=1"),
        ("/old/x/y?q=1", 302, "http://example.org/new/x/y?q=1"),
        ("/old", 302, "http://example.org/new"),
        ("/old/", 302, "http://example.org/new/"),
        ("/gone/x", 302, "http://example.org/x"),
        ("/gone", 302, "http://example.org/"),
    ];
    for mut client in mesh.clients().await {
        for (path, status, location) in cases {
            // With a body, which nobody reads: the connection goes on.
            let reply = client.send(post(path, "ignored")).await;
            assert_eq!(
                (reply.status.as_u16(), reply.header("location")),
                (status, location),
                "{path}"
            );
        }
    }
    assert_eq!(
        mesh.echo.app.counts().requests,
        0,
        "a redirect is answered by the waypoint"
    );
}

#[tokio::test]
async fn rewrites() {
    let mesh = Mesh::start(json!([
        rewrite("/host", json!({ "hostname": "example.org" })),
        rewrite("/full", json!({ "path": replace_full("/one") })),
        rewrite("/old", json!({ "path": replace_prefix("/new") })),
        rewrite("/slash", json!({ "path": replace_prefix("/new/") })),
        rewrite("/gone", json!({ "path": replace_prefix("/") })),
        rewrite(
            "/both",
            json!({ "hostname": "example.org", "path": replace_prefix("/b") })
        ),
    ]))
    .await;
    let cases = [
        // path, host, path and query the backend sees
        ("/host/a?b=c", "example.org", "/host/a", "b=c"),
        ("/full/x?q=%2F&q=2", "echo", "/one", "q=%2F&q=2"),
        ("/full", "echo", "/one", ""),
        ("/old/x", "echo", "/new/x", ""),
        ("/old", "echo", "/new", ""),
        ("/old/", "echo", "/new/", ""),
        ("/slash/x", "echo", "/new/x", ""),
        ("/old/a%20b", "echo", "/new/a%20b", ""),
        ("/gone/x?y", "echo", "/x", "y"),
        ("/gone", "echo", "/", ""),
        ("/both/x", "example.org", "/b/x", ""),
    ];
    for mut client in mesh.clients().await {
        for (path, host, seen_path, query) in cases {
            let reply = client.get(path).await;
            let got = (reply.field("host"), reply.field("path"), reply.field("query"));
            assert_eq!(got, (host.into(), seen_path.into(), query.into()), "{path}");
        }
    }
}
