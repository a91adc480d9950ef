//! `check` over `testdata/findings/*`: its whole output stands in `expected.txt` beside the files.
//! `UPDATE_GOLDEN=1 cargo test -p mesh` writes it anew.

use crate::{Finding, Scope, check};
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/findings");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

#[test]
fn findings_are_as_written() {
    let mut wrong = Vec::new();
    for folder in folders() {
        let findings = check(std::slice::from_ref(&folder), Scope::default()).unwrap();
        let prefix = format!("{}/", folder.display());
        let text: String = findings
            .iter()
            .map(|finding| format!("{finding}\n").replace(&prefix, ""))
            .collect();
        let expected = folder.join("expected.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &text).unwrap();
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn findings_are_in_file_order_and_have_places() {
    for folder in folders() {
        let findings = check(std::slice::from_ref(&folder), Scope::default()).unwrap();
        assert!(findings.is_sorted_by(|a, b| a.order(b).is_le()));
        let has_place = |finding: &Finding| finding.place.is_some() || finding.object.is_none();
        assert!(findings.iter().all(has_place));
    }
}

#[test]
fn json_has_the_same_parts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/findings/broken");
    let findings = check(&[folder], Scope::default()).unwrap();
    let json = findings[0].to_json();
    assert_eq!(json["severity"], "error");
    assert_eq!(json["line"], 2);
    assert!(json["file"].as_str().unwrap().ends_with("anchor.yml"));
    assert!(json.get("object").is_none());
}
