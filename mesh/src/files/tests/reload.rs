//! What files do to the published snapshot, seen through the findings channel; nothing here sleeps.

use crate::{Files, Finding, Scope};
use request::Authority;
use std::path::Path;
use std::time::Duration;

fn mesh() -> String {
    service("waypoint-user", "10.0.0.1")
        + "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: waypoint, namespace: shop}\n\
           spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n"
}

fn service(name: &str, vip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop, \
         labels: {{istio.io/use-waypoint: waypoint}}}}\nspec: {{clusterIP: {vip}, ports: [{{name: http, port: 80}}]}}\n"
    )
}

/// As a kubelet or an editor puts a file into place.
fn put(dir: &Path, name: &str, text: impl AsRef<[u8]>) {
    let temporary = dir.join(format!(".{name}.tmp"));
    std::fs::write(&temporary, text).unwrap();
    std::fs::rename(temporary, dir.join(name)).unwrap();
}

fn serves(files: &Files, vip: &str) -> bool {
    let authority = Authority::parse(&format!("{vip}:80")).unwrap();
    files.snapshot.load().target(&authority).is_some()
}

fn errors(files: &Files) -> usize {
    let is_error = |finding: &&Finding| finding.severity == crate::Severity::Error;
    files.findings.borrow().iter().filter(is_error).count()
}

fn start() -> (tempfile::TempDir, Files) {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "mesh.yaml", mesh());
    let files = Files::load(vec![dir.path().to_owned()], Scope::default()).unwrap();
    assert!(serves(&files, "10.0.0.1"));
    assert_eq!(files.snapshot.load().generation, 1);
    (dir, files)
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = Files::load(vec![dir.path().join("none")], Scope::default()).unwrap_err();
    assert!(error.to_string().contains("none"));
}

#[test]
fn a_new_file_is_served_and_a_deleted_one_is_not() {
    let (dir, files) = start();
    put(dir.path(), "two.yaml", service("two", "10.0.0.2"));
    assert!(files.reload());
    assert!(serves(&files, "10.0.0.1") && serves(&files, "10.0.0.2"));
    assert_eq!(files.snapshot.load().generation, 2);
    std::fs::remove_file(dir.path().join("two.yaml")).unwrap();
    assert!(files.reload());
    assert!(serves(&files, "10.0.0.1") && !serves(&files, "10.0.0.2"));
}

#[test]
fn nothing_new_publishes_nothing() {
    let (dir, files) = start();
    assert!(!files.reload());
    put(dir.path(), "mesh.yaml", mesh());
    assert!(!files.reload(), "the same content");
    put(dir.path(), "README.md", "text");
    put(dir.path(), ".hidden.yaml", service("two", "10.0.0.2"));
    assert!(!files.reload(), "not ours to read");
    assert_eq!(files.snapshot.load().generation, 1);
}

#[test]
fn a_broken_file_keeps_its_last_good_state_and_its_neighbours_change() {
    let (dir, files) = start();
    put(dir.path(), "two.yaml", service("two", "10.0.0.2"));
    assert!(files.reload());
    put(dir.path(), "two.yaml", "kind: [Service\n");
    assert!(files.reload(), "the finding is news");
    assert_eq!(files.snapshot.load().generation, 2);
    assert_eq!(errors(&files), 1);
    assert!(serves(&files, "10.0.0.2"));

    put(dir.path(), "three.yaml", service("three", "10.0.0.3"));
    assert!(files.reload());
    assert!(serves(&files, "10.0.0.2") && serves(&files, "10.0.0.3"));
    assert_eq!(errors(&files), 1);

    put(dir.path(), "two.yaml", service("two", "10.0.0.22"));
    assert!(files.reload());
    assert!(serves(&files, "10.0.0.22") && !serves(&files, "10.0.0.2"));
    assert_eq!(errors(&files), 0);
}

#[test]
fn a_broken_file_made_good_as_it_was_is_good() {
    let (dir, files) = start();
    put(dir.path(), "mesh.yaml", "kind: [Service\n");
    assert!(files.reload());
    assert_eq!(errors(&files), 1);
    put(dir.path(), "mesh.yaml", mesh());
    assert!(files.reload());
    assert_eq!(errors(&files), 0);
}

#[test]
fn too_much_is_not_read() {
    let (dir, files) = start();
    put(dir.path(), "huge.yaml", vec![b'x'; 17 << 20]);
    assert!(files.reload());
    assert_eq!(errors(&files), 1);
    assert!(serves(&files, "10.0.0.1"));
}

#[cfg(unix)]
#[test]
fn special_files_are_not_opened() {
    let (dir, files) = start();
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("zero.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
    assert!(files.reload());
    assert_eq!(errors(&files), 2);
}

#[cfg(unix)]
#[test]
fn a_file_that_can_be_read_again_is_good_again() {
    let (dir, files) = start();
    std::fs::rename(dir.path().join("mesh.yaml"), dir.path().join("kept")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("mesh.yaml")).unwrap();
    assert!(files.reload());
    assert_eq!(errors(&files), 1);
    assert!(serves(&files, "10.0.0.1"));
    std::fs::rename(dir.path().join("kept"), dir.path().join("mesh.yaml")).unwrap();
    assert!(files.reload());
    assert_eq!(errors(&files), 0);
}

#[test]
fn a_folder_that_goes_away_keeps_its_state() {
    let (dir, files) = start();
    let away = dir.path().with_extension("gone");
    std::fs::rename(dir.path(), &away).unwrap();
    assert!(files.reload());
    assert!(serves(&files, "10.0.0.1"));
    assert_eq!(errors(&files), 1);
    std::fs::rename(&away, dir.path()).unwrap();
    assert!(files.reload());
    assert_eq!(errors(&files), 0);
    assert_eq!(files.snapshot.load().generation, 1);
}

/// Longer than any poll: only a hang passes it.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_watch_sees_renames_and_swapped_links() {
    let (dir, files) = start();
    let (mut findings, snapshot) = (files.findings.clone(), files.snapshot.clone());
    findings.mark_unchanged();
    let (told, mut published) = tokio::sync::mpsc::unbounded_channel();
    let watch = tokio::spawn(files.watch(move |snapshot, _| {
        let _ = told.send(snapshot.generation);
    }));

    put(dir.path(), "two.yaml", service("two", "10.0.0.2"));
    tokio::time::timeout(PATIENCE, findings.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(snapshot.load().generation, 2);

    // A ConfigMap volume: files are links into `..data`, which is a link that is replaced.
    #[cfg(unix)]
    for (version, vip) in [("v1", "10.0.1.1"), ("v2", "10.0.1.2")] {
        let folder = dir.path().join(format!("..{version}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("linked.yaml"), service("linked", vip)).unwrap();
        let data = dir.path().join("..data");
        std::os::unix::fs::symlink(&folder, dir.path().join("..tmp")).unwrap();
        std::fs::rename(dir.path().join("..tmp"), &data).unwrap();
        let _ = std::os::unix::fs::symlink(data.join("linked.yaml"), dir.path().join("linked.yaml"));
        let wanted = Authority::parse(&format!("{vip}:80")).unwrap();
        while snapshot.load().target(&wanted).is_none() {
            tokio::time::timeout(PATIENCE, findings.changed())
                .await
                .unwrap()
                .unwrap();
        }
    }
    assert_eq!(tokio::time::timeout(PATIENCE, published.recv()).await.unwrap(), Some(2));
    watch.abort();
}
