//! Templates against the regular expression that Envoy would run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Template, has_stray_brace, is_template};
use proptest::prelude::*;

#[test]
fn matching() {
    for (template, yes, no) in [
        (
            "/files/{*}",
            &["/files/a", "/files/a.txt"][..],
            &["/files", "/files/", "/files/a/b", "/files/a/"][..],
        ),
        ("/files/{*}/", &["/files/a/"], &["/files/a"]),
        (
            "/files/{**}",
            &["/files/", "/files/a", "/files/a/b/", "/files//"],
            &["/files", "/file"],
        ),
        ("/{*}/meta/{**}", &["/a/meta/b/c"], &["/meta/b", "/a/b/meta/c"]),
        (
            "/a/{**}/z",
            &["/a/b/z", "/a/b/c/z", "/a//z"],
            &["/a/z", "/a/b/z/", "/a/b/y"],
        ),
        ("/a/{**}/z/", &["/a/b/z/"], &["/a/b/z"]),
        ("/{**}", &["/", "/x/y"], &["*"]),
    ] {
        let compiled = Template::new(template).unwrap();
        assert!(is_template(template) && !has_stray_brace(template));
        for path in yes {
            assert!(compiled.matches(path), "{template} on {path}");
        }
        for path in no {
            assert!(!compiled.matches(path), "{template} on {path}");
        }
    }
}

#[test]
fn operators_stand_for_path_characters_only() {
    assert!(Template::new("/a/{*}").unwrap().matches("/a/b%20c:@=~"));
    for path in ["/a/b|c", "/a/b\"", "/a/é", "/a/b*c"] {
        assert!(!Template::new("/a/{*}").unwrap().matches(path), "{path}");
        assert!(!Template::new("/a/{**}").unwrap().matches(path), "{path}");
    }
}

#[test]
fn refused() {
    for bad in [
        "{*}/a",
        "/{**}/{*}",
        "/{**}/{**}",
        "/a//{*}",
        "/a*/{*}",
        "/a b/{*}",
        "/{*}//",
        "/x{*}",
        "/{*}y",
    ] {
        assert!(Template::new(bad).is_err() || has_stray_brace(bad), "{bad}");
    }
    assert!(has_stray_brace("/{id}") && has_stray_brace("/a}") && has_stray_brace("/{**}x"));
    assert!(!has_stray_brace("/plain*"));
}

proptest! {
    #[test]
    fn as_the_regex(
        segments in prop::collection::vec(prop_oneof![Just("{*}"), Just("{**}"), Just("a"), Just("b.c")], 1..5),
        slash in any::<bool>(),
        path in "/[ab.c|/]{0,10}",
    ) {
        let template = format!("/{}{}", segments.join("/"), if slash { "/" } else { "" });
        let Ok(compiled) = Template::new(&template) else { return Ok(()) };
        let pchar = r"a-zA-Z0-9._~%!$&'()+,;:@=\-";
        let regex = regex::escape(&template)
            .replace(r"\{\*\*\}", &format!("[{pchar}/]*"))
            .replace(r"\{\*\}", &format!("[{pchar}]+"));
        let naive = regex::Regex::new(&format!("^{regex}$")).unwrap().is_match(&path);
        prop_assert_eq!(compiled.matches(&path), naive, "{} on {}", template, path);
    }
}
