#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Key, Tree};
use proptest::prelude::*;

fn found(tree: &Tree, text: &str) -> Vec<usize> {
    let mut all = Vec::new();
    tree.leading_to(text, &mut |numbers: &[usize]| all.extend_from_slice(numbers));
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn all_beginnings_and_the_text_itself() {
    let prefix = |text: &str| Key::Prefix(text.into());
    let tree = Tree::new(vec![
        (prefix("/a/b"), 0),
        (prefix("/a"), 1),
        (Key::Exact("/a/b".into()), 2),
        (prefix("/a/c"), 3),
        (prefix("/"), 4),
        (Key::Exact("/a/b/c".into()), 5),
    ]);
    assert_eq!(found(&tree, "/a/b"), [0, 1, 2, 4]);
    assert_eq!(found(&tree, "/a/b/c"), [0, 1, 4, 5]);
    assert_eq!(found(&tree, "/a/bc"), [0, 1, 4]);
    assert_eq!(found(&tree, "/b"), [4]);
    assert_eq!(found(&tree, ""), [0; 0]);
    assert_eq!(found(&Tree::default(), "/"), [0; 0]);
}

proptest! {
    #[test]
    fn as_if_each_were_asked(keys in prop::collection::vec(("[ab]{0,4}", any::<bool>()), 0..20), text in "[ab]{0,6}") {
        let keys: Vec<(Key, usize)> = keys
            .iter()
            .enumerate()
            .map(|(number, (text, exact))| {
                let text = text.as_str().into();
                (if *exact { Key::Exact(text) } else { Key::Prefix(text) }, number)
            })
            .collect();
        let wanted: Vec<usize> = keys
            .iter()
            .filter(|(key, _)| match key {
                Key::Exact(exact) => **exact == *text,
                Key::Prefix(prefix) => text.starts_with(&**prefix),
            })
            .map(|(_, number)| *number)
            .collect();
        prop_assert_eq!(found(&Tree::new(keys), &text), wanted);
    }
}
