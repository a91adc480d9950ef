//! What must hold in the demo, and what did not.

/// Standard deviations that a measured share may be off: beyond it, once in two million runs by chance.
const SIGMAS: f64 = 5.0;

#[derive(Default)]
pub(super) struct Checks {
    failed: Vec<String>,
}

impl Checks {
    /// Notes `otherwise` unless it `holds`.
    pub(super) fn hold(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.failed.push(otherwise());
        }
    }

    /// In the order they were found.
    pub(super) fn failed(&self) -> &[String] {
        &self.failed
    }
}

/// Whether `hits` of `all` independent requests can come of a share of `wanted` (0.0 to 1.0).
pub(super) fn plausible(hits: u64, all: u64, wanted: f64) -> bool {
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let (hits, all) = (hits as f64, all as f64);
    let deviation = (all * wanted * (1.0 - wanted)).sqrt();
    all > 0.0 && (hits - all * wanted).abs() <= SIGMAS * deviation
}

#[cfg(test)]
mod tests;
