//! Promise: what `deploy/` asks people to apply is valid by the schemas that Kubernetes, the Gateway API, Istio and the
//! others publish, and the waypoint itself has nothing to say against it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::node_tools::{SCHEMAS, installed};
use integration_tests::peers::waypoint_process::binary;
use std::path::{Path, PathBuf};
use std::process::Command;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// All manifests that are applied as they are. A chart's templates are not.
fn manifests() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["examples", "kubernetes"] {
        let Ok(files) = std::fs::read_dir(deploy().join(folder)) else {
            continue;
        };
        found.extend(files.map(|file| file.unwrap().path()));
    }
    found.push(deploy().join("bench-job.yaml"));
    found.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn they_are_valid_by_the_published_schemas() {
    let Some(home) = installed("manifests", &SCHEMAS) else {
        return;
    };
    let script = home.join("validate.mjs");
    std::fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/validate-manifests.mjs"),
        &script,
    )
    .unwrap();
    let what_belongs_to_a_gateway = deploy().join("../controller/testdata/desired.json");
    let done = Command::new("node")
        .arg(script)
        .args(manifests())
        .arg(what_belongs_to_a_gateway)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.lines().count() > 30, "{said}");
}

#[test]
fn the_waypoint_finds_no_error_in_the_examples() {
    let enrol = std::fs::read_to_string(deploy().join("examples/enrol.yaml")).unwrap();
    for manifest in manifests() {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(&manifest).unwrap();
        if !text.contains("kind: Gateway\n") {
            std::fs::write(folder.path().join("enrol.yaml"), &enrol).unwrap();
        }
        std::fs::write(folder.path().join("example.yaml"), text).unwrap();
        let done = Command::new(binary()).arg("check").arg(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{}:\n{said}", manifest.display());
    }
}
