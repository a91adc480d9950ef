//! What tokens and key sets may not contain.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::object;
use proptest::prelude::*;

#[test]
fn refused() {
    for bad in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"[{"a":1}]"#,
        r#"{"a":[{"b":1,"b":2}]}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":1} x"#,
        r#"{"a":NaN}"#,
        "",
        "null",
    ] {
        assert!(object(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(object(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn depth_is_limited() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(object(nested(100).as_bytes()).is_ok());
    for deep in [128, 100_000] {
        assert!(object(nested(deep).as_bytes()).is_err(), "{deep}");
    }
}

proptest! {
    /// What is accepted is what a plain parser reads.
    #[test]
    fn agrees_with_the_plain_parser(keys in prop::collection::btree_set("[a-d\u{e9}\"]{0,2}", 0..5), number in any::<f64>()) {
        let value: serde_json::Map<_, _> =
            keys.into_iter().map(|key| (key.clone(), serde_json::json!([number, key, null, true, {"x": -1}]))).collect();
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(object(text.as_bytes()).unwrap(), serde_json::from_str(&text).unwrap());
    }
}
