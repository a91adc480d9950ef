//! Several measurements of one figure: the median, and how far they lie apart.

/// Median, least and most. All 0 for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let last = sorted.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            least: at(0),
            most: at(last),
        }
    }

    /// `12.3 (11.9..14.0)`, or `12.3` where there is no difference to be seen.
    pub(crate) fn show(&self, decimals: usize) -> String {
        let [median, least, most] = [self.median, self.least, self.most].map(|figure| format!("{figure:.decimals$}"));
        if least == most {
            return median;
        }
        format!("{median} ({least}..{most})")
    }
}
