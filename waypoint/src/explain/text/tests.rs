//! The texts of explanations, for requests to a mesh in `testdata/explain`: golden files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::Paint;
use super::super::question::Question;
use super::render;
use crate::proxy::{World, explain};
use authz::KeySets;
use mesh::{Files, Scope};
use std::path::{Path, PathBuf};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/explain")
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` writes it instead.
fn golden(name: &str, question: &Question) {
    let files = Files::load(vec![testdata().join("mesh")], Scope::default()).unwrap();
    assert_eq!(files.findings.borrow().as_slice(), []);
    let snapshot = files.snapshot.load_full();
    let keys = KeySets::default();
    let world = World {
        snapshot: &snapshot,
        keys: &keys,
        node: None,
    };
    let report = explain(&world, &question.read(&snapshot.settings.trust.own).unwrap());
    let found = render(&report, Paint(false));
    let path = testdata().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (number, (wanted, found)) in wanted.lines().zip(found.lines()).enumerate() {
        assert_eq!(wanted, found, "{}:{}", path.display(), number + 1);
    }
    assert_eq!(
        wanted.lines().count(),
        found.lines().count(),
        "{}: lines",
        path.display()
    );
}

fn question(request: &str, from: &str) -> Question {
    Question {
        request: request.to_owned(),
        from: from.to_owned(),
        ..Question::default()
    }
}

#[test]
fn a_canary_with_filters() {
    golden(
        "canary.txt",
        &question("GET http://reviews:9080/v/../api//x?q=1", "demo/curl"),
    );
}

#[test]
fn a_header_decides() {
    let mut asked = question("GET http://reviews.demo:9080/api", "demo/curl");
    asked.headers.push(("x-user".to_owned(), "tester".to_owned()));
    asked.headers.push(("x-envoy-retry-on".to_owned(), "5xx".to_owned()));
    golden("header.txt", &asked);
}

#[test]
fn a_policy_denies() {
    golden(
        "denied.txt",
        &question("DELETE http://10.96.0.10:9080/%61dmin/users", "other/curl"),
    );
}

#[test]
fn nothing_matches() {
    golden(
        "no-route.txt",
        &question("GET http://reviews:9080/elsewhere", "demo/curl"),
    );
}

#[test]
fn a_redirect_and_a_broken_backend() {
    golden(
        "redirect.txt",
        &question("GET http://reviews:9080/old/page?token=secret", "demo/curl"),
    );
    golden("broken.txt", &question("GET http://reviews:9080/half", "demo/curl"));
}

#[test]
fn tokens() {
    let mut asked = question("GET http://tokens:80/", "demo/curl");
    golden("token-none.txt", &asked);
    asked.jwt = Some("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2EifQ.".to_owned());
    golden("token-bad.txt", &asked);
    let unverified = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2EiLCJzdWIiOiJzIn0";
    asked.jwt = Some(format!("{unverified}.{}", "AQEB".repeat(21) + "AQ"));
    golden("token-unknown.txt", &asked);
}

#[test]
fn connections() {
    golden("tcp.txt", &question("tcp://database:5432", "demo/curl"));
    golden(
        "tcp-denied.txt",
        &question("tcp://database.demo.svc.cluster.local:5432", "other/curl"),
    );
}

#[test]
fn what_is_not_ours() {
    golden("not-ours.txt", &question("GET http://nobody:80/", "demo/curl"));
    golden("wrong-port.txt", &question("GET http://reviews:81/", "demo/curl"));
    golden("bad-request.txt", &question("get http://reviews:9080/", "demo/curl"));
}
