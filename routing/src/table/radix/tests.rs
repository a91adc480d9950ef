#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_walk_meets_every_key_that_the_text_begins_with(keys in prop::collection::vec("[ab/é]{0,5}", 0..12), text in "[ab/é]{0,7}") {
        let mut tree = Tree::<String>::default();
        for key in &keys {
            tree.insert(key).unwrap().clone_from(key);
        }
        let mut met = Vec::new();
        tree.walk(&text, |key, rest| met.push(format!("{key}|{}", std::str::from_utf8(rest).unwrap())));

        let mut wanted: Vec<_> = keys.iter().filter_map(|key| Some(format!("{key}|{}", text.strip_prefix(&**key)?))).collect();
        wanted.sort_by_key(|shown| shown.find('|'));
        wanted.dedup();
        prop_assert_eq!(met, wanted);
    }
}
