#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::figure::Sample;

#[test]
fn a_rate_that_was_not_reached_is_told() {
    let answered = |per_second: f64| {
        let mut row = Row::new("100/s");
        row.samples.push(Sample::from([(Figure::PerSecond, per_second)]));
        row
    };
    assert_eq!(shortfall(Some(100), &answered(96.0)), None);
    assert_eq!(shortfall(None, &answered(1.0)), None);
    let told = shortfall(Some(100), &answered(60.0)).unwrap();
    assert!(told.starts_with("100/s: 60/s were answered"), "{told}");
}
