//! Any other command as a subject: another build of the waypoint, another waypoint.
//!
//! `name=command with {placeholders}`. What it says in braces is replaced in each of its words.

use super::child::Process;
use super::{Order, Started};
use crate::fault::{During, Fault};
use std::net::TcpListener;
use std::process::Command;

/// What is told by name.
const PLACES: [&str; 11] = [
    "config_dir",
    "certs_dir",
    "hbone",
    "hbone_ip",
    "hbone_port",
    "namespace",
    "gateway",
    "trust_domain",
    "workers",
    "free_port",
    "otlp",
];

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
        let is_known = |name: &str| PLACES.contains(&name).then(String::new);
        words.iter().try_for_each(|word| fill(word, is_known).map(drop))?;
        Ok(Self {
            name: name.to_owned(),
            words,
        })
    }

    /// Whether it is told how many workers it shall have.
    pub(crate) fn takes_workers(&self) -> bool {
        self.words.iter().any(|word| word.contains("{workers}"))
    }

    pub(super) fn start(&self, order: &Order<'_>) -> Result<Started, Fault> {
        let (world, address) = (order.world, order.address);
        let values = [
            ("config_dir", world.manifests().display().to_string()),
            ("certs_dir", world.proxy_certs().path().display().to_string()),
            ("hbone", address.to_string()),
            ("hbone_ip", address.ip().to_string()),
            ("hbone_port", address.port().to_string()),
            ("namespace", world.namespace().to_owned()),
            ("gateway", "waypoint".to_owned()),
            ("trust_domain", world.trust_domain().to_owned()),
            ("workers", order.workers.to_string()),
            ("free_port", free_port()?.to_string()),
            (
                "otlp",
                order
                    .collector
                    .map_or_else(String::new, |address| format!("http://{address}")),
            ),
        ];
        let value = |name: &str| Some(values.iter().find(|(known, _)| *known == name)?.1.clone());
        let words = self.words.iter().map(|word| fill(word, value));
        let words = words.collect::<Result<Vec<_>, _>>().map_err(Fault::new)?;
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

/// What is in braces and no name stays as it is: JSON, say. A name that nobody knows is a mistake.
fn fill(word: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let name = after.split_once('}').filter(|(name, _)| is_name(name));
        let Some((name, after)) = name else {
            filled.push('{');
            rest = after;
            continue;
        };
        let value = value(name).ok_or_else(|| format!("{{{name}}}: expected one of {}", PLACES.join(", ")))?;
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Free a moment ago.
fn free_port() -> Result<u16, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").during("a free port")?;
    Ok(listener.local_addr().during("a free port")?.port())
}

#[cfg(test)]
mod tests;
