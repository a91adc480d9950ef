//! Promise: curl, as people have it, gets through: GET, uploads, HTTP/2 by prior knowledge, HEAD, several on one
//! connection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::echo::Digest;
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use serde_json::Value;
use std::process::Stdio;
use tokio::process::Command;

async fn curl(args: &[&str]) -> String {
    let all = ["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"];
    let run = Command::new("curl")
        .args(all)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = run.unwrap_or_else(|e| panic!("curl: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "curl {args:?}: {}\n{text}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text:?}"))
}

#[tokio::test]
async fn as_people_use_it() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs curl");
        println!("SKIPPED: no curl on this machine");
        return;
    }
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let port = world.client(&waypoint).local_port(&echo.vip).await;
    let url = port.url("/reviews/1?stars=5");

    let seen = json(&curl(&[&url]).await);
    assert_eq!(
        (&seen["path"], &seen["query"], &seen["protocol"]),
        (&"/reviews/1".into(), &"stars=5".into(), &"HTTP/1.1".into())
    );
    assert_eq!(seen["host"], port.address.to_string(), "Host is what curl said");

    let version = [
        "--http2-prior-knowledge",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_version} %{http_code}",
        &url,
    ];
    assert_eq!(curl(&version).await, "2 200");

    let status = curl(&["--head", "--output", "/dev/null", "--write-out", "%{http_code}", &url]).await;
    assert_eq!(status, "200");

    // Over 1 MiB curl asks with Expect: 100-continue.
    let file = tempfile::NamedTempFile::new().unwrap();
    let body = vec![b'x'; 5 << 20];
    std::fs::write(file.path(), &body).unwrap();
    let mut digest = Digest::default();
    digest.add(&body);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let data = format!("@{}", file.path().display());
        let seen = json(&curl(&[version, "--data-binary", &data, &url]).await);
        assert_eq!(
            (&seen["body_bytes"], &seen["body_digest"]),
            (&(5 << 20).into(), &digest.hex().into()),
            "{version}"
        );
    }
    let seen = json(&curl(&["--header", "Transfer-Encoding: chunked", "--data", "abc", &url]).await);
    assert_eq!(seen["body_bytes"], 3);

    let connects = curl(&[
        "--output",
        "/dev/null",
        "--output",
        "/dev/null",
        "--write-out",
        "%{num_connects} ",
        &url,
        &url,
    ])
    .await;
    assert_eq!(connects, "1 0 ", "the second request reuses the connection");
}
