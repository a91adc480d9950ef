//! npm packages that tests run under Node.js: installed once into a private folder in the target folder, pinned.
//!
//! Where they can't be had, tests that need them say so and pass; in CI (`CI=true`) that is a failure.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The schemas that Kubernetes, the Gateway API, Istio and others publish, for `testdata/validate-manifests.mjs`.
pub const SCHEMAS: [&str; 7] = [
    "kubernetes-models@5.1.0",
    "@kubernetes-models/gateway-api@2.0.0",
    "@kubernetes-models/istio@3.0.1",
    "@kubernetes-models/argo-rollouts@2.0.0",
    "@kubernetes-models/keda@2.0.0",
    "@kubernetes-models/prometheus-operator@6.0.0",
    "yaml@2.6.1",
];

/// A folder with a `node_modules` of these `package@version`, or `None` after saying why not.
pub fn installed(name: &str, packages: &[&str]) -> Option<PathBuf> {
    match install(name, packages) {
        Ok(path) => Some(path),
        Err(why) if std::env::var("CI").is_ok_and(|v| v == "true") => panic!("{name}: {why}"),
        Err(why) => {
            println!("SKIPPED: no npm packages for {name} on this machine: {why}");
            None
        }
    }
}

fn install(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let target = super::waypoint_process::profile_dir();
    let home = target.parent().ok_or("no target folder")?.join("peers-node").join(name);
    std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
    let lock = File::create(home.join("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?; // other test processes want it too
    let wanted = packages.join("\n");
    let stamp = home.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(home);
    }
    npm(&home, packages)?;
    std::fs::write(stamp, wanted).map_err(|e| e.to_string())?;
    Ok(home)
}

fn npm(home: &Path, packages: &[&str]) -> Result<(), String> {
    std::fs::write(home.join("package.json"), "{ \"private\": true }\n").map_err(|e| e.to_string())?;
    let done = Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--ignore-scripts",
        ])
        .args(packages)
        .current_dir(home)
        .output()
        .map_err(|e| format!("npm: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&done.stderr);
    Err(format!("npm install: {}", why.trim()))
}
