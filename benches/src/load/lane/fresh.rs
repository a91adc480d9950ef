//! A new mTLS connection for every request: what a restarted client, or a flood of short-lived ones, costs.

use super::Answer;
use super::http1::Http1;
use crate::load::ask::Ask;
use crate::neighbour::Source;

/// No connection yet.
pub(super) struct Fresh {
    source: Source,
    ask: Ask,
}

impl Fresh {
    pub(super) fn new(source: &Source, ask: &Ask) -> Self {
        Self {
            source: source.clone(),
            ask: ask.clone(),
        }
    }

    pub(super) async fn exchange(&mut self) -> Result<Answer, String> {
        let wires = self.source.dial(1, 1).await.map_err(|fault| fault.to_string())?;
        let wire = wires.into_iter().next().ok_or("no tunnel")?;
        Http1::new(wire, &self.ask).exchange().await
    }
}
