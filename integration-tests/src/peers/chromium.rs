//! A real browser, headless: it opens a page, runs what is on it, and tells what a person would see.

use super::debian_tools::installed;
use super::waiting::within;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// An installed Chromium.
pub struct Chromium {
    binary: PathBuf,
}

/// How long a page may take to be drawn: the browser starts, and its page asks several times.
const LIMIT: Duration = Duration::from_secs(60);
/// What the page lives through before it is looked at, in its own time.
const PAGE_TIME_MS: u32 = 7_000;

impl Chromium {
    /// `None` when it can't be had here.
    pub fn find() -> Option<Self> {
        let binary = installed("chromium", "chromium")?;
        Some(Self { binary })
    }

    /// The document of a page after its scripts have run for a while.
    pub async fn document(&self, url: &str) -> String {
        let out = self.run(&["--dump-dom".to_owned()], url).await;
        String::from_utf8(out).unwrap()
    }

    /// A picture of the page (PNG), so many pixels wide and high.
    pub async fn screenshot(&self, url: &str, width: u32, height: u32, to: &Path) {
        let flags = [
            format!("--screenshot={}", to.display()),
            format!("--window-size={width},{height}"),
            "--hide-scrollbars".to_owned(),
        ];
        self.run(&flags, url).await;
    }

    async fn run(&self, flags: &[String], url: &str) -> Vec<u8> {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(&self.binary);
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg("--disable-dev-shm-usage")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--virtual-time-budget={PAGE_TIME_MS}"))
            .args(flags)
            .arg(url)
            .kill_on_drop(true);
        let done = within(LIMIT, &format!("Chromium at {url}"), command.output())
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "Chromium at {url}: {}\n{said}", done.status);
        done.stdout
    }
}
