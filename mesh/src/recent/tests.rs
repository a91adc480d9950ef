use super::{MAX_BYTES, SLOTS, group_kind, text};
use std::sync::Arc;

#[test]
fn what_is_said_twice_is_kept_once() {
    // Other tests fill slots at the same time.
    let is_shared = |_| Arc::ptr_eq(&text("shared-by-objects"), &text("shared-by-objects"));
    assert!((0..100).any(is_shared));
    let is_shared = |_| Arc::ptr_eq(&group_kind("a.group", "Kind"), &group_kind("a.group", "Kind"));
    assert!((0..100).any(is_shared));
    assert_eq!((&*group_kind("a", "b").group, &*group_kind("a", "b").kind), ("a", "b"));
}

#[test]
fn a_full_table_forgets_and_never_mixes_up() {
    for number in 0..4 * SLOTS {
        let wanted = format!("name-{number}");
        assert_eq!(*text(&wanted), *wanted);
        assert_eq!(*group_kind(&wanted, "").group, *wanted);
    }
}

#[test]
fn what_is_too_long_is_not_remembered() {
    let long = "x".repeat(MAX_BYTES + 1);
    assert_eq!(*text(&long), *long);
    assert!(!Arc::ptr_eq(&text(&long), &text(&long)));
}
