//! A real Prometheus that scrapes what a test runs and answers its queries.

use super::debian_tools::installed;
use super::loopback::free_port;
use super::rotel::follow;
use super::waiting::until;
use super::waypoint_process::fetch;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A running one. Killed when dropped, and its data with it.
pub struct Prometheus {
    address: SocketAddr,
    child: Child,
    output: Arc<Mutex<String>>,
    _home: TempDir,
}

impl Prometheus {
    /// Starts it with this target, scraped twice a second, and waits until it is ready; `None` when it can't be had here.
    pub async fn start(target: SocketAddr, path: &str) -> Option<Self> {
        let binary = installed("prometheus", "prometheus")?;
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("prometheus.yml");
        let job =
            format!("{{ job_name: waypoint, metrics_path: {path}, static_configs: [{{ targets: ['{target}'] }}] }}");
        let text = format!("global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}\nscrape_configs: [{job}]\n");
        std::fs::write(&config, text).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::<Mutex<String>>::default();
        follow(child.stdout.take().unwrap(), output.clone());
        follow(child.stderr.take().unwrap(), output.clone());
        let mut prometheus = Self {
            address,
            child,
            output,
            _home: home,
        };
        until("Prometheus is ready", async || {
            let left = prometheus.child.try_wait().unwrap();
            assert!(left.is_none(), "Prometheus left: {left:?}");
            fetch(address, "/-/ready").await.is_ok_and(|reply| reply.status == 200)
        })
        .await;
        Some(prometheus)
    }

    /// Waits until the target was scraped once more.
    pub async fn scraped(&self) {
        let scrapes = async || {
            let samples = self.query("sum(count_over_time(up[1h]))").await;
            samples
                .ok()
                .and_then(|samples| samples.first().map(|(_, count)| *count))
        };
        let before = scrapes().await.unwrap_or_default();
        until("Prometheus has scraped", async || {
            scrapes().await.is_some_and(|now| now > before)
        })
        .await;
    }

    /// The samples of an instant query: labels and value.
    ///
    /// # Errors
    /// The expression is not one, or the answer is an error: in Prometheus' own words.
    pub async fn query(&self, expression: &str) -> Result<Vec<(Value, f64)>, String> {
        let query: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let reply = fetch(self.address, &format!("/api/v1/query?query={query}")).await?;
        let answer = reply.json();
        if answer["status"] != "success" {
            return Err(answer["error"].as_str().unwrap_or(reply.text()).to_owned());
        }
        let samples = answer["data"]["result"].as_array().ok_or("no result")?;
        let value = |sample: &Value| sample["value"][1].as_str().and_then(|text| text.parse().ok());
        samples
            .iter()
            .map(|sample| Ok((sample["metric"].clone(), value(sample).ok_or("no value")?)))
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- output of Prometheus ---\n{}\n---", self.output.lock().unwrap());
        }
    }
}
