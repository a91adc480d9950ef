//! What twice the workers are good for.
//!
//! Two ways to ask. Requests a second say it outright, but only where the machine has cores for all workers and for the
//! neighbours that keep them busy. CPU of a request can be asked on few cores, too: workers that are in one another's way
//! (locks, shared cache lines, tasks that move) take longer for the same. But so do threads that share a core with
//! others, whoever's: how much that is, a proxy says whose workers share next to nothing, Envoy, in the same round. So it
//! is the share of Envoy's gain that counts. Of waiting without work it tells nothing; sleeps per request are beside it.

use super::{Task, traffic};
use crate::fault::Fault;
use crate::figure::{Figure, Sample};
use crate::machine::Machine;
use crate::report::{Doubt, Row, Section};
use crate::scenario::Traffic;
use crate::subject::{Contender, WAYPOINT};

/// Each neighbour has so many threads at most.
const THREADS_LIMIT: usize = 8;
/// A proxy that is this much of its workers busy is what limits the load.
const FULL: f64 = 0.9;

/// All rounds, and what follows from them.
pub(super) fn run(task: &Task<'_>, traffic: Traffic, section: &mut Section) -> Result<(), Fault> {
    let (cores, workers) = (Machine::here().cores, task.args.programs.workers);
    let traffic = Traffic {
        threads: neighbours(cores, workers),
        ..traffic
    };
    let done = traffic::run(task, traffic, None, &mut section.rows);
    for contender in task.contenders {
        gain(contender, &mut section.rows);
    }
    let doubt = doubt(cores, workers, section.row(WAYPOINT));
    section.doubts.extend(doubt.map(|why| Doubt {
        figure: Figure::Gain,
        why,
    }));
    done
}

/// Threads of each of the two neighbours: what the larger proxy leaves, in halves.
fn neighbours(cores: usize, workers: u64) -> usize {
    let twice = usize::try_from(workers.saturating_mul(2)).unwrap_or(usize::MAX);
    (cores.saturating_sub(twice) / 2).clamp(1, THREADS_LIMIT)
}

/// Writes into each round of a proxy what the same one with twice the workers did in that round.
fn gain(contender: &Contender, rows: &mut [Row]) {
    let Some(doubled) = contender.doubled() else { return };
    let Some(doubled) = rows.iter().find(|row| row.name == doubled.name) else {
        return;
    };
    let doubled = doubled.samples.clone();
    let Some(row) = rows.iter_mut().find(|row| row.name == contender.name) else {
        return;
    };
    for (once, twice) in row.samples.iter_mut().zip(&doubled) {
        let gained = gained(once, twice);
        once.extend(gained);
    }
}

fn gained(once: &Sample, twice: &Sample) -> Sample {
    let ratio = |of: &Sample, to: &Sample, figure| {
        let (of, to) = (*of.get(&figure)?, *to.get(&figure)?);
        (to > 0.0).then_some(of / to)
    };
    let by_rate = ratio(twice, once, Figure::PerSecond);
    let by_cpu = ratio(once, twice, Figure::CpuUs).map(|ratio| 2.0 * ratio);
    let gains = [(Figure::Gain, by_rate), (Figure::GainByCpu, by_cpu)];
    gains
        .into_iter()
        .filter_map(|(figure, gain)| Some((figure, gain?)))
        .collect()
}

/// Why requests a second say nothing here; None when they do.
#[allow(clippy::cast_precision_loss)] // a few hundred
fn doubt(cores: usize, workers: u64, row: Option<&Row>) -> Option<String> {
    // As many for the neighbours of twice the workers as for those, and half of it again.
    let wanted = workers.saturating_mul(6);
    if u64::try_from(cores).unwrap_or(u64::MAX) < wanted {
        return Some(format!(
            "{cores} cores for {} workers and the neighbours that keep them busy, who need {wanted} together: requests/s \
             tell of the machine, not of the proxy; CPU/request as a share of Envoy's does",
            workers.saturating_mul(2)
        ));
    }
    let busy = row?.spread(Figure::Busy)?.median / workers.max(1) as f64;
    (busy < FULL).then(|| {
        format!(
            "the proxy was busy for {:.0} % of its time before it had more workers: the neighbours were the limit",
            busy * 100.0
        )
    })
}

#[cfg(test)]
mod tests;
