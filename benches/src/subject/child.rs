//! A child process whose log is kept for the day it dies.

use crate::fault::{During, Fault};
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a proxy may take to listen, or to end.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How often a start is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The process. It is killed when dropped, and its folder goes.
pub(super) struct Process {
    child: Child,
    name: String,
    dir: TempDir,
}

impl Process {
    /// Starts it with a folder of its own, which `command` may be told of, and waits until `address` takes connections.
    pub(super) fn start(name: &str, dir: TempDir, mut command: Command, address: SocketAddr) -> Result<Self, Fault> {
        let log = File::create(dir.path().join("log")).during(name)?;
        let out = log.try_clone().during(name)?;
        // A pipe that is never written to: it ends when this process does.
        let child = command
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(log)
            .spawn()
            .during(format_args!("{command:?}"))?;
        let mut process = Self {
            child,
            name: name.to_owned(),
            dir,
        };
        let listens = |_: &Self| TcpStream::connect_timeout(&address, LOOK).is_ok();
        process.until(&format!("listen on {address}"), listens)?;
        Ok(process)
    }

    /// Waits until it has printed this line.
    pub(super) fn says(&mut self, line: &str) -> Result<(), Fault> {
        self.until(&format!("say {line:?}"), |process| {
            process.log().lines().any(|said| said == line)
        })
    }

    /// Tells it to end, waits until it has, and gives its log.
    pub(super) fn finish(mut self) -> Result<String, Fault> {
        let pid = self.pid().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().during("kill")?;
        let end = Instant::now() + START_LIMIT;
        while self.child.try_wait().during(&self.name)?.is_none() {
            if Instant::now() > end {
                return Err(Fault::new(format!("{} does not end", self.name)));
            }
            std::thread::sleep(LOOK);
        }
        Ok(self.log())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), Fault> {
        let end = Instant::now() + START_LIMIT;
        while !is_so(self) {
            let exited = self.child.try_wait().during(&self.name)?;
            if exited.is_some() || Instant::now() > end {
                return Err(Fault::new(format!(
                    "{} does not {what} ({exited:?}):\n{}",
                    self.name,
                    self.log()
                )));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have died by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
