//! A share of all requests, chosen by a random number that the caller passes.

/// `numerator` in `denominator` requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// See the type.
    pub numerator: u32,
    /// 0 means none.
    pub denominator: u32,
}

impl Share {
    /// All requests.
    pub const ALL: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// So many per cent, to a ten-thousandth of one, as Istio reads them. Outside 0 to 100: as those.
    pub fn percent(percent: f64) -> Self {
        const DENOMINATOR: u32 = 1_000_000;
        // In range, so that nothing is cut off.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let numerator = (percent.clamp(0.0, 100.0) * 10_000.0).round() as u32;
        Self {
            numerator,
            denominator: DENOMINATOR,
        }
    }

    /// Whether the request with this random number (uniform over u64) is one of them.
    pub fn takes(self, random: u64) -> bool {
        // Which of `denominator` equal shares of u64 the number lies in.
        let share = (u128::from(random) * u128::from(self.denominator)) >> 64;
        self.denominator > 0 && share < u128::from(self.numerator)
    }
}

#[cfg(test)]
mod tests;
