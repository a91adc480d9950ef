#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

#[test]
fn delay_and_abort_have_shares_of_their_own() {
    let fault = Fault {
        delay: Some((Duration::MAX, Share::percent(50.0))),
        abort: Some((Abort::Http(503), Share::percent(10.0))),
    };
    assert_eq!(fault.delay(0), Some(Fault::LONGEST_DELAY));
    assert_eq!(fault.delay(u64::MAX), None);
    assert_eq!(fault.abort(0), Some(Abort::Http(503)));
    assert_eq!(fault.abort(u64::MAX / 5), None);
    assert_eq!((Fault::default().delay(0), Fault::default().abort(0)), (None, None));
}
