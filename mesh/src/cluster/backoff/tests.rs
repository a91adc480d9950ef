use super::*;

#[test]
fn it_doubles_up_to_a_limit_and_begins_anew() {
    let mut backoff = Backoff::default();
    let mut limit = FIRST;
    for _ in 0..40 {
        let wait = backoff.next();
        assert!(limit / 2 <= wait && wait <= limit, "{wait:?} of {limit:?}");
        limit = (limit * 2).min(MOST);
    }
    backoff.reset();
    assert!(backoff.next() <= FIRST);
}
