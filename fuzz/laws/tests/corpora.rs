//! The corpora of the fuzz targets, as ordinary tests: each file is put to the law of its folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_file_obeys_its_law() {
    let mut broken = Vec::new();
    for (name, law) in laws::ALL {
        let files = files(&corpora().join(name));
        assert!(files.len() >= 8, "{name}: {} files", files.len());
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            if std::panic::catch_unwind(|| law(&bytes)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_law_has_a_target_and_a_corpus() {
    let laws: BTreeSet<String> = laws::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |folder: &Path, ending: &str| -> BTreeSet<String> {
        let name = |file: PathBuf| file.file_name()?.to_str()?.strip_suffix(ending).map(str::to_owned);
        files(folder).into_iter().filter_map(name).collect()
    };
    assert_eq!(names(&corpora(), ""), laws);
    assert_eq!(names(&corpora().join("../fuzz_targets"), ".rs"), laws);
}
