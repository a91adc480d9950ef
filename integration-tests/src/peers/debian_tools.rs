//! Real peers that are Debian packages (Prometheus, Chromium): used where they are installed, installed where that is
//! possible.
//!
//! Where they can't be had, tests that need them say so and pass; in CI (`CI=true`) that is a failure.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

/// The path of `command`, of the Debian package of that name, or `None` after saying why not.
pub fn installed(command: &str, package: &str) -> Option<PathBuf> {
    match find(command).map_or_else(|| install(command, package), Ok) {
        Ok(path) => Some(path),
        Err(why) if std::env::var("CI").is_ok_and(|v| v == "true") => panic!("{package}: {why}"),
        Err(why) => {
            println!("SKIPPED: no {package} on this machine: {why}");
            None
        }
    }
}

fn find(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(command))
        .find(|path| path.is_file())
}

fn install(command: &str, package: &str) -> Result<PathBuf, String> {
    let lock = File::create(std::env::temp_dir().join("waypoint-tests-apt.lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?; // other test processes want it too
    if let Some(path) = find(command) {
        return Ok(path);
    }
    apt(&["install", "-y", "-qq", "--no-install-recommends", package]).or_else(|_| {
        apt(&["update", "-qq"])?;
        apt(&["install", "-y", "-qq", "--no-install-recommends", package])
    })?;
    find(command).ok_or_else(|| format!("{command} is not in it"))
}

fn apt(args: &[&str]) -> Result<(), String> {
    let done = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|e| format!("apt-get: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&done.stderr);
    Err(format!("apt-get {}: {}", args.join(" "), why.trim()))
}
