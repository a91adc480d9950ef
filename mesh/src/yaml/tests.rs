#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const TEXT: &str = "# a comment\na: 1\nb:\n  - c: x\n  - d: [1, 2]\n---\n---\nk: v\n\"x.y/z\":\n  q: {r: s}\n";

#[test]
fn documents_and_places_agree() {
    let read = documents(TEXT).unwrap();
    let marks = places(TEXT);
    assert_eq!(read.len(), 2);
    assert_eq!(marks.len(), 2);
    assert_eq!((read[0].line, read[0].column), (2, 1));
    assert_eq!((read[1].line, read[1].column), (8, 1));
    assert_eq!(read[0].value["b"][1]["d"][1], 2);
}

#[test]
fn a_path_finds_its_scalar_and_else_the_nearest_key() {
    let marks = places(TEXT);
    assert_eq!(marks[0].find("a"), (2, 4));
    assert_eq!(marks[0].find("b"), (3, 1));
    assert_eq!(marks[0].find("b[0].c"), (4, 8));
    assert_eq!(marks[0].find("b[1].d[1]"), (5, 12));
    assert_eq!(marks[0].find("b[1].nothing[3].here"), (5, 5));
    assert_eq!(marks[1].find("[\"x.y/z\"].q.r"), (10, 10));
}

#[test]
fn bad_text_says_where() {
    for (text, line) in [
        ("a: 'unterminated\n", 1),
        ("spec:\n  rules: []\n  rules: [{}]\n", 3),
        ("a: b\nc: [1, 2\n", 3),
        ("a: *nowhere\n", 1),
        ("weight: .inf\n", 1),
    ] {
        let error = documents(text).unwrap_err();
        assert!(error.line.abs_diff(line) <= 1, "{text:?}: {error:?}");
        assert!(
            !error.message.is_empty() && !error.message.contains("at line"),
            "{error:?}"
        );
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let laughs = (1..10).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let all = vec![format!("*a{}", n - 1); 10].join(",");
        format!("{text}a{n}: &a{n} [{all}]\n")
    });
    let merges = (1..=20).fold("a0: &a0 {k: v}\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n}\n  <<: [*a{m}, *a{m}]\n  k{n}: v\n", m = n - 1)
    });
    let deep = format!("{}1{}", "{a: ".repeat(10_000), "}".repeat(10_000));
    let deep_blocks: String = (0..2_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    let started = std::time::Instant::now();
    for text in [laughs, deep, deep_blocks, format!("x: {}", "[".repeat(10_000))] {
        assert!(on_deep_stack(|| documents(&text)).unwrap().is_err());
        assert!(on_deep_stack(|| places(&text)).unwrap().is_empty());
    }
    let _ = on_deep_stack(|| documents(&merges)).unwrap();
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}
