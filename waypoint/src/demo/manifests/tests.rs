#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

/// The folder compiled, as `waypoint check` does.
fn findings(folder: &ConfigFolder) -> Vec<mesh::Finding> {
    let scope = mesh::Scope {
        namespace: Some("demo".to_owned()),
        gateway: Some("waypoint".to_owned()),
        ..mesh::Scope::default()
    };
    mesh::check(&[folder.path().to_owned()], scope).unwrap()
}

#[test]
fn the_manifests_are_without_findings_before_and_after_the_shift() {
    let root = tempfile::tempdir().unwrap();
    let folder = ConfigFolder::write(root.path().join("config")).unwrap();
    assert_eq!(findings(&folder), Vec::new());
    folder.shift(50).unwrap();
    assert_eq!(findings(&folder), Vec::new());
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [MESH.0, ROUTE.0, DENY.0, JWT.0]);
}

#[test]
fn only_the_two_weights_change() {
    let shifted = route(25).unwrap();
    let changed: Vec<_> = ROUTE
        .1
        .lines()
        .zip(shifted.lines())
        .filter(|(old, new)| old != new)
        .collect();
    let trimmed: Vec<_> = changed.iter().map(|(old, new)| (old.trim(), new.trim())).collect();
    assert_eq!(trimmed, [("weight: 90", "weight: 75"), ("weight: 10", "weight: 25")]);
    assert_eq!(ROUTE.1.lines().count(), shifted.lines().count());
}
