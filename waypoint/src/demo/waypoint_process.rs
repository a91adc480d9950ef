//! The waypoint, as a process of its own: the same binary, started as anybody would start it.

use super::error::{DemoError, doing};
use super::ids;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// From exec to `ready`.
const START_LIMIT: Duration = Duration::from_secs(20);
/// From SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Lines of its log that are shown when it fails.
const LOG_TAIL: usize = 15;
/// Share of new traces that are sampled; the tour's own requests ask to be.
const SAMPLING: &str = "0.001";

/// The child. Killed when dropped; [`WaypointProcess::stop`] is the better end.
pub(super) struct WaypointProcess {
    child: Child,
    log: PathBuf,
    pub(super) pid: u32,
    pub(super) hbone: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) metrics: SocketAddr,
}

/// The addresses it prints.
#[derive(Default)]
struct Told {
    hbone: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

impl WaypointProcess {
    /// Starts it and waits until it is ready. Its log goes to `folder/waypoint.log`.
    pub(super) async fn start(
        folder: &Path,
        config: &Path,
        certs: &Path,
        collector: SocketAddr,
    ) -> Result<Self, DemoError> {
        let log = folder.join("waypoint.log");
        let log_file = File::create(&log).map_err(doing(format!("create {}", log.display())))?;
        let mut command = command(folder, config, certs, collector)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .kill_on_drop(true);
        // Ctrl-C is for the demo, which then ends it in order.
        command.process_group(0);
        let mut child = command.spawn().map_err(doing("start the waypoint"))?;
        let (Some(pid), Some(stdout)) = (child.id(), child.stdout.take()) else {
            return Err(DemoError::Waypoint("it ended at once".to_owned()));
        };
        let mut lines = BufReader::new(stdout).lines();
        let told = tokio::time::timeout(START_LIMIT, Told::read(&mut lines))
            .await
            .unwrap_or_default();
        let Told {
            hbone: Some(hbone),
            admin: Some(admin),
            metrics: Some(metrics),
        } = told
        else {
            return Err(DemoError::Waypoint(format!(
                "it did not become ready. Its log ends:\n{}",
                tail(&log)
            )));
        };
        // Whatever else it prints is read, so that it never waits for room in the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            child,
            log,
            pid,
            hbone,
            admin,
            metrics,
        })
    }

    /// SIGTERM: it drains and leaves. Gives how long that took.
    ///
    /// # Errors
    /// It left otherwise than with success, or not in time (then it was killed).
    pub(super) async fn stop(mut self) -> Result<Duration, DemoError> {
        let began = Instant::now();
        terminate(self.pid).await?;
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(began.elapsed()),
            Ok(Ok(status)) => Err(self.failed(&format!("it ended with {status} after SIGTERM"))),
            Ok(Err(error)) => Err(doing("wait for the waypoint")(error)),
            Err(_) => {
                self.child.kill().await.map_err(doing("kill the waypoint"))?;
                Err(self.failed(&format!("it was still there {} s after SIGTERM", STOP_LIMIT.as_secs())))
            }
        }
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    fn failed(&self, why: &str) -> DemoError {
        DemoError::Waypoint(format!("{why}. Its log ends:\n{}", self.log_tail()))
    }
}

fn command(folder: &Path, config: &Path, certs: &Path, collector: SocketAddr) -> Result<Command, DemoError> {
    let binary = std::env::current_exe().map_err(doing("find this binary"))?;
    let mut command = Command::new(binary);
    // Settings of this shell's own (POD_NAMESPACE, OTEL_..) must not change what is shown.
    command.env_clear();
    for name in ["WAYPOINT_LOG", "RUST_BACKTRACE", "LD_LIBRARY_PATH"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("WAYPOINT_TRACE_SAMPLING", SAMPLING);
    command.arg("run").arg("--config").arg(config).arg("--certs").arg(certs);
    for listener in ["--hbone", "--admin", "--metrics", "--ready"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command.args([
        "--namespace",
        ids::NAMESPACE,
        "--gateway",
        ids::WAYPOINT,
        "--workers",
        "1",
    ]);
    command.arg("--upgrade-sock").arg(folder.join("upgrade.sock"));
    Ok(command)
}

impl Told {
    /// Reads until `ready`; without it, nothing was told.
    async fn read(lines: &mut Lines<BufReader<ChildStdout>>) -> Self {
        let mut told = Self::default();
        while let Ok(Some(line)) = lines.next_line().await {
            if line == "ready" {
                return told;
            }
            match line.split_once(" listening on ") {
                Some(("hbone", address)) => told.hbone = address.parse().ok(),
                Some(("admin", address)) => told.admin = address.parse().ok(),
                Some(("metrics", address)) => told.metrics = address.parse().ok(),
                _ => {}
            }
        }
        Self::default()
    }
}

/// The shell's own `kill`: a signal without unsafe code, on systems without a `kill` binary too.
async fn terminate(pid: u32) -> Result<(), DemoError> {
    let killed = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\"", &pid.to_string()])
        .status()
        .await;
    match killed.map_err(doing("send SIGTERM to the waypoint"))? {
        status if status.success() => Ok(()),
        _ => Err(DemoError::Waypoint("it had ended before SIGTERM".to_owned())),
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_TAIL);
    lines
        .get(first..)
        .unwrap_or_default()
        .iter()
        .map(|line| format!("  | {line}\n"))
        .collect()
}
