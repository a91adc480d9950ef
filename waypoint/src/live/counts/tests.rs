//! Buckets cover every duration once, and percentiles are as right as promised.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{BUCKETS, bucket, percentile, upper};
use proptest::prelude::*;

#[test]
fn percentiles() {
    assert_eq!(percentile(&[], 0.5), None);
    assert_eq!(percentile(&[(1_000, 1)], 0.5), Some(1.0));
    let buckets = [(1_000, 98), (2_000, 1), (9_000, 1)];
    assert_eq!(percentile(&buckets, 0.5), Some(1.0));
    assert_eq!(percentile(&buckets, 0.99), Some(2.0));
    assert_eq!(percentile(&buckets, 1.0), Some(9.0));
}

proptest! {
    #[test]
    fn a_duration_is_below_its_bucket_s_end_and_within_an_eighth_of_it(micros in 0_u64..60_000_000_000) {
        let end = upper(bucket(micros));
        prop_assert!(micros < end);
        prop_assert!(end - micros <= micros / 8 + 1);
    }

    #[test]
    fn no_duration_is_beyond_the_last_bucket(micros in any::<u64>()) {
        prop_assert!(bucket(micros) < BUCKETS);
    }
}
