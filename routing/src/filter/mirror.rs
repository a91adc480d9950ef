//! RequestMirror.

use crate::ClusterId;

/// RequestMirror.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where copies go. `None`: the reference is invalid and nothing is sent.
    pub cluster: Option<ClusterId>,
    /// `percent` or `fraction`: copies of `numerator` in `denominator` requests. Default 1 of 1.
    pub numerator: u32,
    /// See `numerator`; never 0.
    pub denominator: u32,
}

impl Mirror {
    /// Whether the request with this random number (uniform over u64) is mirrored.
    pub fn samples(&self, random: u64) -> bool {
        // Which of `denominator` equal shares of u64 the number lies in.
        let share = (u128::from(random) * u128::from(self.denominator)) >> 64;
        self.denominator > 0 && share < u128::from(self.numerator)
    }
}

#[cfg(test)]
mod tests;
