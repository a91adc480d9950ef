#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const KEY: &str = "[ab/é]{0,5}";

fn tree(keys: impl IntoIterator<Item = String>) -> Tree<String> {
    let mut tree = Tree::default();
    for key in keys {
        add(&mut tree, &key);
    }
    tree
}

fn add(tree: &mut Tree<String>, key: &str) {
    tree.change(key, |value| {
        value.replace_range(.., key);
        true
    });
}

fn met(tree: &Tree<String>, text: &str) -> Vec<String> {
    let mut met = Vec::new();
    tree.visit(text, |key, rest| {
        met.push(format!("{key}|{}", std::str::from_utf8(rest).unwrap()))
    });
    met
}

fn all(tree: &Tree<String>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    tree.each(|key| assert!(all.insert(key.clone())));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_walk_meets_every_key_that_the_text_begins_with(keys in prop::collection::vec(KEY, 0..12), text in "[ab/é]{0,7}") {
        let mut wanted: Vec<_> = keys.iter().filter_map(|key| Some(format!("{key}|{}", text.strip_prefix(&**key)?))).collect();
        wanted.sort_by_key(|shown| std::cmp::Reverse(shown.find('|')));
        wanted.dedup();
        prop_assert_eq!(met(&tree(keys), &text), wanted);
    }

    /// What was removed leaves nothing behind, and the tree before the change is as it was.
    #[test]
    fn a_changed_tree_is_the_tree_of_what_is_left(
        before in prop::collection::btree_set(KEY, 0..12),
        gone in prop::collection::btree_set(KEY, 0..12),
        new in prop::collection::btree_set(KEY, 0..6),
    ) {
        let old = tree(before.iter().cloned());
        let mut changed = old.clone();
        for key in &gone {
            changed.change(key, |_| false);
        }
        for key in &new {
            add(&mut changed, key);
        }
        let wanted: BTreeSet<_> = before.difference(&gone).chain(&new).cloned().collect();
        prop_assert_eq!(all(&changed), wanted.clone());
        prop_assert_eq!(changed.nodes(), tree(wanted).nodes());
        prop_assert_eq!(all(&old), before);
    }
}
