//! Promise: `waypoint explain` says what the waypoint does: for requests of many kinds, the explained answer, by the
//! manifests and by the running waypoint, is the one that a client gets through a real tunnel.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::{HttpClient, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Reach, Vip, backend};
use integration_tests::peers::tokens::TokenIssuer;
use integration_tests::peers::waypoint_process::{Waypoint, binary};
use serde_json::{Value, json};
use std::process::{Command, Output};

/// One request, and what is known of its answer.
struct Case {
    service: &'static str,
    method: &'static str,
    path: &'static str,
    from: &'static str,
    headers: Vec<(&'static str, String)>,
    /// The status, when it is not the backend's 200.
    refused: Option<u16>,
}

fn case(service: &'static str, path: &'static str, refused: Option<u16>) -> Case {
    Case {
        service,
        method: "GET",
        path,
        from: "client",
        headers: Vec::new(),
        refused,
    }
}

async fn world(issuer: &TokenIssuer) -> (MeshWorld, Vec<Vip>) {
    let mut world = MeshWorld::new();
    let v1 = world.echo("v1", "v1", Reach::Hbone).await;
    let echo = world.echo("echo", "main", Reach::Hbone).await;
    let secured = world.echo("secured", "main", Reach::Clear).await;
    let empty = world.service("empty", "http", &[]);
    world.http_route(
        "echo",
        "echo",
        json!([
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/api" } }], "backendRefs": [backend("v1", 1)] },
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/admin" } }], "backendRefs": [backend("v1", 1)] },
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/none" } }] },
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/gone" } }], "backendRefs": [backend("nobody", 1)] },
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/empty" } }], "backendRefs": [backend("empty", 1)] },
            { "matches": [{ "path": { "type": "Exact", "value": "/old" } }], "filters": [{ "type": "RequestRedirect",
                "requestRedirect": { "path": { "type": "ReplaceFullPath", "replaceFullPath": "/new" }, "statusCode": 301 } }] },
            { "matches": [{ "headers": [{ "name": "x-user", "value": "tester" }] }], "backendRefs": [backend("v1", 1)] },
        ]),
    );
    let admins = json!([{ "from": [{ "source": { "notPrincipals": ["cluster.local/ns/demo/sa/admin"] } }],
        "to": [{ "operation": { "paths": ["/admin*"] } }] }]);
    world.policy("no-admin", "echo", "DENY", admins);
    let rules = json!({ "jwtRules": [{ "issuer": "https://issuer", "jwks": issuer.jwks().to_string() }] });
    world.attach("security.istio.io/v1", "RequestAuthentication", "jwt", "secured", rules);
    let subjects = json!([{ "from": [{ "source": { "requestPrincipals": ["https://issuer/alice"] } }] }]);
    world.policy("alice", "secured", "ALLOW", subjects);
    let vips = vec![v1.vip.clone(), echo.vip.clone(), secured.vip.clone(), empty];
    // What stands behind the Services stays as long as the process of the test.
    std::mem::forget((v1, echo, secured));
    (world, vips)
}

fn cases(issuer: &TokenIssuer) -> Vec<Case> {
    let bearer = |subject: &str, more: Value| vec![("authorization", format!("Bearer {}", issuer.sign(subject, more)))];
    let with = |case: Case, headers| Case { headers, ..case };
    vec![
        case("v1", "/anything?q=1", None),
        case("echo", "/api/x", None),
        case("echo", "/apix", Some(404)),
        with(case("echo", "/apix", None), vec![("x-user", "tester".to_owned())]),
        case("echo", "/admin/users", Some(403)),
        case("echo", "/x/../admin/users", Some(403)),
        case("echo", "/%61dmin/users", Some(403)),
        Case {
            from: "admin",
            ..case("echo", "/admin/users", None)
        },
        case("echo", "/none", Some(500)),
        case("echo", "/gone", Some(500)),
        case("echo", "/empty", Some(503)),
        case("empty", "/", Some(503)),
        case("echo", "/old?a=b", Some(301)),
        case("echo", "/a%00b", Some(400)),
        case("echo", "/..", Some(404)),
        Case {
            method: "POST",
            ..case("echo", "/api", None)
        },
        case("secured", "/", Some(403)),
        with(case("secured", "/", None), bearer("alice", json!({}))),
        with(case("secured", "/", Some(403)), bearer("bob", json!({}))),
        with(case("secured", "/", Some(401)), bearer("alice", json!({ "exp": 1 }))),
        with(
            case("secured", "/", Some(401)),
            vec![("authorization", "Bearer nonsense".to_owned())],
        ),
    ]
}

fn explain(how: &[&str], case: &Case) -> Output {
    let mut command = Command::new(binary());
    let url = format!("{} http://{}{}", case.method, case.service, case.path);
    command
        .arg("explain")
        .args(how)
        .arg(url)
        .arg("--from")
        .arg(format!("demo/{}", case.from));
    for (name, value) in &case.headers {
        command.arg("--header").arg(format!("{name}: {value}"));
    }
    command.args(["--format", "json"]).output().unwrap()
}

async fn answered(world: &MeshWorld, waypoint: &Waypoint, vips: &[Vip], case: &Case) -> u16 {
    let vip = vips.iter().find(|vip| vip.name == case.service).unwrap();
    let client = world.client_as(waypoint, "demo", case.from);
    let headers: Vec<(&str, &str)> = case
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut connection: HttpClient = client.http1(vip).await;
    let mut request = get_with(case.path, &headers);
    *request.method_mut() = case.method.parse().unwrap();
    connection.send(request).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_explained_answer_is_the_answer() {
    let issuer = TokenIssuer::new("https://issuer", "k1");
    let (world, vips) = world(&issuer).await;
    let waypoint = world.start().await;
    let (folder, admin) = (world.config().to_str().unwrap().to_owned(), waypoint.admin.to_string());
    for case in cases(&issuer) {
        let real = answered(&world, &waypoint, &vips, &case).await;
        assert_eq!(real, case.refused.unwrap_or(200), "{} {}", case.service, case.path);
        for how in [vec![folder.as_str()], vec!["--live", admin.as_str()]] {
            let output = explain(&how, &case);
            let name = format!("{how:?} {} {} {}", case.method, case.service, case.path);
            let report: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{name}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
            let answer = &report["answer"];
            let status = answer["status"].as_u64();
            match case.refused {
                None => assert_eq!(
                    (status, answer["served"].as_bool()),
                    (None, Some(true)),
                    "{name}: {answer}"
                ),
                Some(wanted) => assert_eq!(status, Some(u64::from(wanted)), "{name}: {answer}"),
            }
            let served = answer["served"] == true;
            assert_eq!(output.status.code(), Some(i32::from(!served)), "{name}");
            let text = report.to_string();
            assert!(
                !text.contains("eyJ") && !text.contains("nonsense"),
                "{name} shows a token: {text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_port_explains_to_curl_and_not_to_foreign_pages() {
    let issuer = TokenIssuer::new("https://issuer", "k1");
    let (world, _) = world(&issuer).await;
    let waypoint = world.start().await;
    let ask = async |headers: &[(&str, &str)], body: &str| {
        let socket = tokio::net::TcpStream::connect(waypoint.admin).await.unwrap();
        let mut client = HttpClient::http1(socket, &waypoint.admin.to_string()).await.unwrap();
        let mut request = integration_tests::peers::http_client::post("/explain", body.to_owned());
        for (name, value) in headers {
            let name = http::HeaderName::try_from(*name).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        client.send(request).await
    };
    let question = json!({ "request": "GET http://echo/admin", "from": "demo/client" }).to_string();
    let reply = ask(&[], &question).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["answer"]["reason"], "policy");
    assert_eq!(reply.json()["verdict"]["by"], "demo/no-admin rule 0");
    let mistaken = ask(&[], r#"{ "request": "GET http://echo/", "from": "demo" }"#).await;
    assert_eq!(mistaken.status, 400);
    assert!(
        mistaken.text().contains("namespace/serviceAccount"),
        "{}",
        mistaken.text()
    );
    assert_eq!(ask(&[("host", "evil.example")], &question).await.status, 403);
    assert_eq!(ask(&[("origin", "http://evil.example")], &question).await.status, 403);
    let huge = format!("{{\"request\": \"{}\"}}", "x".repeat(200_000));
    assert_eq!(ask(&[], &huge).await.status, 413);
}

#[test]
fn mistakes_are_told_and_exit_2() {
    let run = |args: &[&str]| Command::new(binary()).arg("explain").args(args).output().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../config-examples/deny");
    for (args, says) in [
        (
            vec!["GET http://reviews/", "--from", "demo/curl"],
            "a folder of manifests",
        ),
        (
            vec![folder, "reviews", "--from", "demo/curl"],
            "expected a request such as",
        ),
        (
            vec![folder, "http://reviews:9080/", "--from", "demo"],
            "namespace/serviceAccount",
        ),
        (
            vec!["/does/not/exist", "http://reviews/", "--from", "demo/curl"],
            "/does/not/exist",
        ),
        (
            vec!["--live", "127.0.0.1:1", "http://reviews/", "--from", "demo/curl"],
            "no running waypoint",
        ),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(says), "{args:?}: {error}");
    }
}

/// The repository's folder.
fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A command line as users type it, in the repository's folder.
fn shell(line: &str) -> Output {
    let folder = binary().parent().unwrap().to_str().unwrap().to_owned();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    Command::new("sh")
        .args(["-c", line])
        .current_dir(root())
        .env("PATH", path)
        .output()
        .unwrap()
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut shown = 0;
    for block in readme.split("```").skip(1).step_by(2) {
        let Some(block) = block
            .trim_start_matches("console")
            .trim_start()
            .strip_prefix("$ waypoint explain")
        else {
            continue;
        };
        let (line, wanted) = block.split_once('\n').unwrap();
        let found = shell(&format!("waypoint explain{line}"));
        assert_eq!(String::from_utf8_lossy(&found.stdout).trim(), wanted.trim(), "{line}");
        shown += 1;
    }
    assert!(shown > 0, "README.md shows no explanation");
}

#[test]
fn every_example_of_the_help_and_of_the_folders_runs() {
    let help = Command::new(binary()).args(["explain", "--help"]).output().unwrap();
    let mut text = String::from_utf8(help.stdout).unwrap();
    for folder in std::fs::read_dir(root().join("config-examples")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            text += &std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        }
    }
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.find("waypoint explain config").map(|at| &line[at..]))
        .collect();
    assert!(lines.len() >= 4, "{lines:?}");
    for line in lines {
        let output = shell(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{line}: {error}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Answer"), "{line}");
    }
}
