#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn what_each_holds_is_a_share_of_the_difference() {
    assert_eq!(kib_each(Some(10.0), Some(12.0), 64), Some(32.0));
    assert_eq!(
        kib_each(Some(12.0), Some(10.0), 64),
        Some(0.0),
        "memory that was given back is nobody's"
    );
    assert_eq!(kib_each(Some(10.0), Some(12.0), 0), None);
    assert_eq!(kib_each(None, Some(12.0), 64), None);
}
