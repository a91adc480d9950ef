use crate::{Filters, Mirror, Seldom, Timeouts};
use std::time::Duration;

#[test]
fn nothing_takes_the_room_of_a_pointer_and_reads_as_nothing() {
    let pointer = size_of::<usize>();
    assert_eq!(
        (size_of::<Seldom<Filters>>(), size_of::<Seldom<Timeouts>>()),
        (pointer, pointer)
    );
    let timeouts = Seldom::from(Timeouts::default());
    assert!(timeouts.0.is_none());
    assert_eq!(*timeouts, Timeouts::default());
}

#[test]
fn clones_share_and_edits_do_not() {
    let one = Seldom::from(Timeouts {
        request: Some(Duration::from_secs(1)),
        backend_request: None,
    });
    let mut other = one.clone();
    assert!(std::ptr::eq(&*one, &*other));
    other.edit(|timeouts| timeouts.request = None);
    assert!(other.0.is_none());
    assert_eq!(one.request, Some(Duration::from_secs(1)));
}

#[test]
fn filters_are_something_whichever_is_set() {
    let mirror = Mirror {
        cluster: None,
        numerator: 1,
        denominator: 1,
    };
    let filters = Filters {
        mirrors: vec![mirror],
        ..Filters::default()
    };
    assert_eq!(Seldom::from(filters).mirrors.len(), 1);
}
