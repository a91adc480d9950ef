//! Any other command as a subject: another build of the waypoint, another waypoint.
//!
//! `name=command with {placeholders}`. What it says in braces is replaced in each of its words.

use super::Started;
use super::child::Process;
use crate::fault::{During, Fault};
use crate::neighbour::World;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

/// The command. Words are split at blanks; there is no shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) name: String,
    words: Vec<String>,
}

impl Template {
    /// Reads `name=command ...`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected 'name=command {config_dir} ..'";
        let (name, command) = text.split_once('=').ok_or(expected)?;
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !is_name || words.is_empty() {
            return Err(expected.to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            words,
        })
    }

    pub(super) fn start(
        &self,
        world: &World,
        address: SocketAddr,
        collector: Option<SocketAddr>,
    ) -> Result<Started, Fault> {
        let values = [
            ("config_dir", world.manifests().display().to_string()),
            ("certs_dir", world.proxy_certs().path().display().to_string()),
            ("hbone", address.to_string()),
            ("hbone_ip", address.ip().to_string()),
            ("hbone_port", address.port().to_string()),
            ("namespace", world.namespace().to_owned()),
            ("gateway", "waypoint".to_owned()),
            ("trust_domain", world.trust_domain().to_owned()),
            ("free_port", free_port()?.to_string()),
            (
                "otlp",
                collector.map_or_else(String::new, |address| format!("http://{address}")),
            ),
        ];
        let words: Vec<_> = self.words.iter().map(|word| fill(word, &values)).collect();
        let (program, arguments) = words.split_first().during("an empty command")?;
        let mut command = Command::new(program);
        command.args(arguments);
        let dir = tempfile::tempdir().during(&self.name)?;
        Ok(Started {
            process: Process::start(&self.name, dir, command, address)?,
            version: self.words.join(" "),
            routes: None,
        })
    }
}

fn fill(word: &str, values: &[(&str, String)]) -> String {
    let mut filled = word.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    filled
}

/// Free a moment ago.
fn free_port() -> Result<u16, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").during("a free port")?;
    Ok(listener.local_addr().during("a free port")?.port())
}

#[cfg(test)]
mod tests;
