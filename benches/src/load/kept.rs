//! Streams that are kept: each has carried a request, and waits for the next.

use super::lane::{Answer, Lane};
use super::tally::Counted;
use super::{Ask, Plan};
use crate::fault::Fault;
use crate::neighbour::Source;
use crate::wire::Wire;
use std::sync::Arc;
use std::time::Duration;

/// An answer has come by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// The streams. They close when this is dropped.
pub(crate) struct Kept {
    source: Source,
    plan: Arc<Plan>,
    lanes: Vec<Lane>,
    counted: Counted,
}

impl Kept {
    /// None yet; this is what each is asked.
    pub(crate) fn new(source: &Source, ask: Ask) -> Self {
        Self::of(source.clone(), Arc::new(Plan::new(ask)))
    }

    /// None of the same kind.
    pub(crate) fn empty(&self) -> Self {
        Self::of(self.source.clone(), Arc::clone(&self.plan))
    }

    fn of(source: Source, plan: Arc<Plan>) -> Self {
        Self {
            source,
            plan,
            lanes: Vec::new(),
            counted: Counted::default(),
        }
    }

    /// One more, which carries its request. An answer that is not good is a failure, and the stream is kept; without one
    /// it is a fault.
    pub(crate) async fn add(&mut self, wire: Wire) -> Result<(), Fault> {
        let mut lane = Lane::on(&self.source, &self.plan, wire).await.map_err(Fault::new)?;
        let answer = exchange(&mut lane).await.map_err(Fault::new)?;
        self.counted.add(&answer.label(), !answer.is_good);
        self.lanes.push(lane);
        Ok(())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Each carries one more request.
    pub(crate) async fn ask_again(&mut self) {
        for lane in &mut self.lanes {
            match exchange(lane).await {
                Ok(answer) => self.counted.add(&answer.label(), !answer.is_good),
                Err(why) => self.counted.add(&format!("a stream did not hold: {why}"), true),
            }
        }
    }

    /// What failed, with counts.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.counted.failures()
    }
}

async fn exchange(lane: &mut Lane) -> Result<Answer, String> {
    let answered = tokio::time::timeout(PATIENCE, lane.exchange()).await;
    answered.unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))
}
