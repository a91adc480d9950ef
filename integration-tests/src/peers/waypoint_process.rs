//! The waypoint as its users run it: a process with folders, flags, signals and a log.
//!
//! The binary is `WAYPOINT_BIN`, else `cargo build -p waypoint` makes it once per test process, with the profile of
//! the tests. When a test fails, the waypoint's log is printed with it.

use super::http_client::{HttpClient, Reply, get};
use super::prometheus_text::Samples;
use super::waiting::{SOON, soon};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How to start it, beyond the folders.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// More arguments of `waypoint run`.
    pub args: Vec<String>,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// Addresses of HBONE, admin, metrics, readiness; any free ports of 127.0.0.1 when absent.
    pub addresses: Option<[SocketAddr; 4]>,
}

/// A running waypoint. Killed when dropped.
pub struct Waypoint {
    child: Mutex<Child>,
    pid: u32,
    log: Log,
    /// Where it takes tunnels.
    pub hbone: SocketAddr,
    /// Where its admin page is.
    pub admin: SocketAddr,
    /// Where its metrics are.
    pub metrics: SocketAddr,
    /// Where its readiness is.
    pub ready: SocketAddr,
}

/// What a process prints.
#[derive(Clone, Default)]
pub(super) struct Log {
    lines: Arc<watch::Sender<Vec<Line>>>,
}

#[derive(Clone)]
struct Line {
    stdout: bool,
    text: String,
}

/// A signal.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Drain and leave.
    Term,
    /// Hand the sockets over and leave.
    Quit,
    /// Die.
    Kill,
}

impl Launch {
    /// One more argument pair.
    pub fn arg(mut self, name: &str, value: impl ToString) -> Self {
        self.args.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// With an access log on stdout, for [`Waypoint::logged_field`].
    pub fn access_log(self) -> Self {
        self.env("WAYPOINT_ACCESS_LOG", "json")
    }

    /// One more environment variable.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }
}

impl Waypoint {
    /// Starts it and waits until it says `ready`; panics with its log when it dies before.
    pub async fn start(config: &Path, certs: &Path, namespace: &str, trust_domain: &str, launch: Launch) -> Self {
        let launch = launch.arg("--certs", certs.display());
        Self::start_without_files(config, namespace, trust_domain, launch).await
    }

    /// The same, with certificates from elsewhere.
    pub async fn start_without_files(config: &Path, namespace: &str, trust_domain: &str, launch: Launch) -> Self {
        let config = config.to_str().unwrap();
        let waypoint = Self::begin(&["--config", config], namespace, trust_domain, launch).await;
        waypoint.until_ready().await;
        waypoint
    }

    /// Starts it with this source of config, and waits only until it listens.
    pub async fn begin(source: &[&str], namespace: &str, trust_domain: &str, launch: Launch) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let [hbone, admin, metrics, ready] = launch.addresses.unwrap_or([any; 4]).map(|a| a.to_string());
        let mut command = Command::new(binary());
        command.arg("run").args(source);
        command.args([
            "--hbone",
            &hbone,
            "--admin",
            &admin,
            "--metrics",
            &metrics,
            "--ready",
            &ready,
        ]);
        command.args([
            "--namespace",
            namespace,
            "--gateway",
            "waypoint",
            "--trust-domain",
            trust_domain,
        ]);
        command.args(&launch.args).envs(launch.env.iter().map(|(k, v)| (k, v)));
        Self::launch(command).await
    }

    /// Starts a command line that ends in a serving waypoint.
    pub async fn spawn(command: Command) -> Self {
        let waypoint = Self::launch(command).await;
        waypoint.until_ready().await;
        waypoint
    }

    async fn launch(mut command: Command) -> Self {
        let shown = format!("{command:?}");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|e| panic!("{shown}: {e}"));
        let log = Log::default();
        log.follow(child.stdout.take().unwrap(), true);
        log.follow(child.stderr.take().unwrap(), false);
        let pid = child.id();
        let end = Instant::now() + SOON;
        let printed = |what: &str| {
            let found = |l: &String| l.strip_prefix(what)?.strip_prefix(" listening on ")?.parse().ok();
            log.stdout().iter().find_map(found)
        };
        loop {
            if let (Some(hbone), Some(admin), Some(metrics), Some(ready)) = (
                printed("hbone"),
                printed("admin"),
                printed("metrics"),
                printed("readiness"),
            ) {
                return Self {
                    child: Mutex::new(child),
                    pid,
                    log,
                    hbone,
                    admin,
                    metrics,
                    ready,
                };
            }
            let died = child.try_wait().unwrap();
            if died.is_some() || Instant::now() > end {
                let _ = child.kill();
                panic!("waypoint does not listen ({died:?})\n{shown}\n{}", log.text());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it says `ready`; panics with its log when it dies before.
    pub async fn until_ready(&self) {
        let end = Instant::now() + SOON;
        while !self.log.stdout().iter().any(|l| l == "ready") {
            let died = self.exited();
            assert!(
                died.is_none() && Instant::now() < end,
                "waypoint is not ready ({died:?})"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Term => "-TERM",
            Signal::Quit => "-QUIT",
            Signal::Kill => "-KILL",
        };
        let done = Command::new("sh")
            .args(["-c", r#"kill "$0" "$1""#, name, &self.pid.to_string()])
            .status()
            .unwrap();
        assert!(done.success(), "kill {name} {}", self.pid);
    }

    /// The exit status, when it has exited.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// Waits for the exit; panics when it does not come within `limit`.
    pub async fn exit_within(&self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(Instant::now() < end, "still running {limit:?} later");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Resident memory now, bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// The most resident memory it ever had, bytes, beside its executable: that of an unoptimised build is large.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status_kib("VmHWM:").saturating_sub(self.status_kib("RssFile:")) * 1024
    }

    /// CPU time it has used so far, user and system.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        // After the name in parentheses: state is field 3, utime and stime are 14 and 15, in ticks of 10 ms.
        let fields: Vec<_> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
        Duration::from_millis((ticks(14) + ticks(15)) * 10)
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix(field));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok())
            .unwrap_or_else(|| panic!("no {field} in {status}"))
    }

    /// All it has printed, both streams.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// What it has printed on stdout (addresses, access log).
    pub fn stdout(&self) -> Vec<String> {
        self.log.stdout()
    }

    /// Waits for a line of either stream.
    pub async fn until_logged(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut lines = self.log.lines.subscribe();
        let find = |lines: &Vec<Line>| lines.iter().find(|l| wanted(&l.text)).map(|l| l.text.clone());
        let found = tokio::time::timeout(SOON, lines.wait_for(|l| find(l).is_some())).await;
        match found {
            Ok(lines) => find(&lines.unwrap()).unwrap(),
            Err(_) => panic!("the waypoint never logged {what}"),
        }
    }

    /// A field of the access log line (`WAYPOINT_ACCESS_LOG=json`) of the request with this path.
    pub async fn logged_field(&self, path: &str, field: &str) -> String {
        let wanted = format!("\"path\":\"{path}\"");
        let line = self.until_logged(&wanted, |l| l.contains(&wanted)).await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        line[field].to_string().trim_matches('"').to_owned()
    }

    /// Its metrics now.
    pub async fn scrape(&self) -> Samples {
        let reply = fetch(self.metrics, "/stats/prometheus")
            .await
            .unwrap_or_else(|e| panic!("metrics: {e}"));
        assert_eq!(reply.status, 200, "/stats/prometheus");
        Samples::parse(reply.text())
    }

    /// Whether the readiness probe is answered with 200.
    pub async fn is_ready(&self) -> bool {
        fetch(self.ready, "/healthz/ready").await.is_ok_and(|r| r.status == 200)
    }

    /// A GET to the admin page.
    pub async fn admin_get(&self, path: &str) -> Reply {
        fetch(self.admin, path)
            .await
            .unwrap_or_else(|e| panic!("admin {path}: {e}"))
    }
}

impl Drop for Waypoint {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("--- log of waypoint {} ---\n{}\n---", self.pid, self.log.text());
        }
    }
}

/// A plain GET to a local address.
///
/// # Errors
/// Nothing listens there, or it does not answer.
pub async fn fetch(address: SocketAddr, path: &str) -> Result<Reply, String> {
    soon(&format!("GET http://{address}{path}"), async {
        let socket = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        let mut client = HttpClient::http1(socket, &address.to_string())
            .await
            .map_err(|e| e.to_string())?;
        client.try_send(get(path)).await.map_err(|e| e.to_string())
    })
    .await
}

/// The binary under test.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("WAYPOINT_BIN").map_or_else(build, PathBuf::from))
}

/// The folder of this build's profile, `target/<profile>`: the test's executable is in its `deps`.
pub(super) fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}

fn build() -> PathBuf {
    let profile_dir = profile_dir();
    let profile = match profile_dir.file_name().and_then(|n| n.to_str()).unwrap() {
        "debug" => "dev".to_owned(),
        other => other.to_owned(),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "-p",
            "waypoint",
            "--bin",
            "waypoint",
            "--profile",
            &profile,
            "--target-dir",
        ])
        .arg(profile_dir.parent().unwrap())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status();
    assert!(
        done.as_ref().is_ok_and(ExitStatus::success),
        "cargo build -p waypoint: {done:?}"
    );
    profile_dir.join("waypoint")
}

impl Log {
    pub(super) fn follow(&self, stream: impl Read + Send + 'static, stdout: bool) {
        let lines = self.lines.clone();
        std::thread::spawn(move || {
            for text in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.send_modify(|l| l.push(Line { stdout, text }));
            }
        });
    }

    pub(super) fn stdout(&self) -> Vec<String> {
        self.lines
            .borrow()
            .iter()
            .filter(|l| l.stdout)
            .map(|l| l.text.clone())
            .collect()
    }

    pub(super) fn text(&self) -> String {
        let lines = self.lines.borrow();
        lines.iter().map(|l| l.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}
