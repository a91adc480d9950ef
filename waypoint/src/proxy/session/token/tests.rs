#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn token(endpoint: &str) -> Token {
    Token {
        endpoint: endpoint.parse().unwrap(),
        began: 1_700_000_000,
        used: 1_700_000_060,
    }
}

#[test]
fn what_was_sealed_is_opened_by_who_has_the_secret() {
    let (one, same, other) = (
        Sealer::new(b"s").unwrap(),
        Sealer::new(b"s").unwrap(),
        Sealer::new(b"t").unwrap(),
    );
    for address in ["10.1.2.3:8080", "[fd00::7]:1"] {
        let text = one.seal("rule", &token(address)).unwrap();
        assert_eq!(same.open("rule", &text), Some(token(address)));
        assert_eq!(other.open("rule", &text), None, "another secret");
        assert_eq!(one.open("rule 2", &text), None, "another rule");
        assert_ne!(
            one.seal("rule", &token(address)).unwrap(),
            text,
            "nothing is learned from two equal ones"
        );
    }
}

#[test]
fn a_token_that_was_touched_is_none() {
    let sealer = Sealer::new(b"s").unwrap();
    let text = sealer.seal("rule", &token("10.1.2.3:8080")).unwrap();
    assert_eq!(text.len(), TEXT_BYTES);
    for at in 0..text.len() {
        let mut touched = text.clone().into_bytes();
        touched[at] = if touched[at] == b'A' { b'B' } else { b'A' };
        let touched = String::from_utf8(touched).unwrap();
        assert_eq!(sealer.open("rule", &touched), None, "{at}");
    }
    for text in [
        "",
        "a",
        &text[1..],
        &format!("{text}A"),
        &"=".repeat(TEXT_BYTES),
        &"A".repeat(TEXT_BYTES),
    ] {
        assert_eq!(sealer.open("rule", text), None, "{text}");
    }
}

#[test]
fn an_address_does_not_show() {
    let sealer = Sealer::new(b"s").unwrap();
    let text = sealer.seal("rule", &token("10.1.2.3:8080")).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
    assert!(!bytes.windows(4).any(|part| part == [10, 1, 2, 3]));
}
