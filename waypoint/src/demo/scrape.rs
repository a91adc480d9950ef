//! The waypoint's own numbers, read as Prometheus reads them.

use super::connection::Connection;
use super::error::DemoError;
use std::net::SocketAddr;

const PATH: &str = "/stats/prometheus";

/// The metrics port.
pub(super) struct Scraper {
    connection: Connection,
}

/// The metrics at one moment.
pub(super) struct Scrape {
    text: String,
}

impl Scraper {
    pub(super) fn new(metrics: SocketAddr) -> Self {
        Self {
            connection: Connection::new(metrics, "waypoint"),
        }
    }

    pub(super) async fn scrape(&mut self) -> Result<Scrape, DemoError> {
        let failed = |why| DemoError::Request {
            path: PATH.to_owned(),
            why,
        };
        let reply = self.connection.get(PATH, &[]).await.map_err(failed)?;
        Ok(Scrape {
            text: String::from_utf8_lossy(&reply.body).into_owned(),
        })
    }
}

impl Scrape {
    /// The sum of the samples of `name` that have all of these labels (values without quotes in them).
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let wanted: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        let samples = self.text.lines().filter_map(|line| sample(line, name));
        samples
            .filter(|(found, _)| wanted.iter().all(|label| found.contains(label)))
            .map(|(_, value)| value)
            .sum()
    }
}

/// Labels and value of a line, if it is a sample of `name`.
fn sample<'l>(line: &'l str, name: &str) -> Option<(&'l str, u64)> {
    let rest = line.strip_prefix(name)?;
    let (labels, value) = rest.rsplit_once(' ')?;
    let ours = labels.is_empty() || labels.starts_with('{');
    ours.then_some(())?;
    Some((labels, value.parse().ok()?))
}

#[cfg(test)]
mod tests;
