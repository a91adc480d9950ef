use super::*;

#[test]
fn a_build_is_told_by_its_folder() {
    assert_eq!(build(Path::new("/src/target/release/waypoint")), "release profile");
    assert_eq!(
        build(Path::new("target/pgo/release/waypoint")),
        "release profile, trained"
    );
    assert_eq!(build(Path::new("/waypoint")), "unknown profile");
}
