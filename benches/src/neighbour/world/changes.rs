//! Changes of config while requests flow.

use super::World;
use crate::scenario::Disturbance;
use std::time::Duration;

/// A file of routes is rewritten this often.
const CHURN: Duration = Duration::from_millis(50);
/// The shares of the second version, in percent, each for as long.
const SHARES: [u32; 8] = [0, 1, 5, 25, 50, 75, 95, 100];

/// Makes the changes of one turn, when asked often enough.
pub(crate) struct Changes {
    disturbance: Disturbance,
    turn: Duration,
    made: u64,
}

impl Changes {
    /// Spread over a turn of this length.
    pub(crate) fn new(disturbance: Disturbance, turn: Duration) -> Self {
        Self {
            disturbance,
            turn,
            made: 0,
        }
    }

    /// Makes what is due this long after the start. Whether there was anything.
    pub(crate) fn at(&mut self, time: Duration, world: &mut World) -> bool {
        let before = self.made;
        while self.made < self.due(time) {
            match self.disturbance {
                Disturbance::Churn => {
                    let files = (world.route_files() as u64).max(1);
                    let file = usize::try_from(self.made % files).unwrap_or_default();
                    world.rewrite_routes(file);
                }
                Disturbance::Canary => {
                    let step = usize::try_from(self.made).unwrap_or(usize::MAX);
                    if let Some(share) = SHARES.get(step) {
                        world.shift(*share);
                    }
                }
            }
            self.made = self.made.saturating_add(1);
        }
        self.made > before
    }

    /// So many were made.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    fn due(&self, time: Duration) -> u64 {
        let every = match self.disturbance {
            Disturbance::Churn => CHURN,
            Disturbance::Canary => self.turn / u32::try_from(SHARES.len()).unwrap_or(1),
        };
        let due = time.as_nanos() / every.as_nanos().max(1);
        let due = u64::try_from(due).unwrap_or(u64::MAX).saturating_add(1);
        match self.disturbance {
            Disturbance::Churn => due,
            Disturbance::Canary => due.min(SHARES.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests;
