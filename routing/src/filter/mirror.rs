//! RequestMirror.

use super::Share;
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
        let Self {
            numerator, denominator, ..
        } = *self;
        Share { numerator, denominator }.takes(random)
    }
}

#[cfg(test)]
mod tests;
