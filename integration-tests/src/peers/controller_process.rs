//! `waypoint controller` as its users run it: a process with a kubeconfig, flags, signals and a log.

use super::prometheus_text::Samples;
use super::waiting::{SOON, until};
use super::waypoint_process::{Log, binary, fetch};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Instant;

/// A running one. Killed when dropped.
pub struct ControllerProcess {
    child: Mutex<Child>,
    log: Log,
    metrics: SocketAddr,
    ready: SocketAddr,
}

impl ControllerProcess {
    /// Starts one with this kubeconfig and identity, and waits only until it listens. Its Lease lasts a second, unless
    /// `args` say otherwise.
    pub async fn begin(kubeconfig: &Path, identity: &str, args: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.arg("controller").arg("--kubeconfig").arg(kubeconfig);
        command.args(["--identity", identity, "--namespace", "waypoint-system"]);
        command.args(["--metrics", "127.0.0.1:0", "--ready", "127.0.0.1:0"]);
        if !args.contains(&"--lease-seconds") {
            command.args(["--lease-seconds", "1"]);
        }
        command.args(["--discovery-seconds", "1"]).args(args);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let log = Log::default();
        log.follow(child.stdout.take().unwrap(), true);
        log.follow(child.stderr.take().unwrap(), false);
        let end = Instant::now() + SOON;
        let printed = |what: &str| {
            let found = |line: &String| line.strip_prefix(what)?.strip_prefix(" listening on ")?.parse().ok();
            log.stdout().iter().find_map(found)
        };
        loop {
            if let (Some(metrics), Some(ready)) = (printed("metrics"), printed("readiness")) {
                return Self {
                    child: Mutex::new(child),
                    log,
                    metrics,
                    ready,
                };
            }
            let died = child.try_wait().unwrap();
            assert!(
                died.is_none() && Instant::now() < end,
                "the controller does not listen ({died:?})\n{}",
                log.text()
            );
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// The same, and waits until it has read everything.
    pub async fn start(kubeconfig: &Path, identity: &str, args: &[&str]) -> Self {
        let controller = Self::begin(kubeconfig, identity, args).await;
        until("the controller is ready", async || controller.is_ready().await).await;
        controller
    }

    /// Whether the readiness probe is answered with 200.
    pub async fn is_ready(&self) -> bool {
        fetch(self.ready, "/healthz/ready")
            .await
            .is_ok_and(|reply| reply.status == 200)
    }

    /// Its metrics now.
    pub async fn scrape(&self) -> Samples {
        let reply = fetch(self.metrics, "/stats/prometheus").await;
        Samples::parse(reply.unwrap_or_else(|e| panic!("metrics: {e}")).text())
    }

    /// Whether it is the one that acts.
    pub async fn is_leader(&self) -> bool {
        self.scrape().await.sum("waypoint_controller_leader", &[]) == 1.0
    }

    /// Ends it by SIGTERM, and waits for its end.
    pub async fn terminate(&self) -> ExitStatus {
        let pid = self.child.lock().unwrap().id().to_string();
        let done = Command::new("sh")
            .args(["-c", r#"kill -TERM "$0""#, &pid])
            .status()
            .unwrap();
        assert!(done.success());
        until("the controller has ended", async || self.exited().is_some()).await;
        self.exited().unwrap()
    }

    /// Kills it.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// All it has printed, both streams.
    pub fn log(&self) -> String {
        self.log.text()
    }

    fn exited(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }
}

impl Drop for ControllerProcess {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the controller ---\n{}\n---", self.log.text());
        }
    }
}
