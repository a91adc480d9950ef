//! Promise: `benches/callgrind` judges by a baseline of the same compiler, and by no other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Takes 1,000 instructions to start and `COST` for each time: the last argument.
const VALGRIND: &str = "#!/bin/sh\nfor times; do :; done\necho \"==1== Collected : $((1000 + times * COST))\"\n";

/// Runs the script with a valgrind of ours, where everything costs this much.
fn callgrind(folder: &Path, baseline: &Path, cost: u32, update: bool) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("callgrind");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(script);
    command.arg(folder.join("debug")).arg(baseline);
    command
        .env("PATH", path)
        .env("COST", cost.to_string())
        .env("TOLERANCE", "10");
    if update {
        command.env("UPDATE", "1");
    }
    let done = command.output().unwrap();
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (done.status.success(), said.concat())
}

#[test]
fn what_has_grown_fails_and_another_compiler_judges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let valgrind = folder.path().join("valgrind");
    fs::write(&valgrind, VALGRIND).unwrap();
    fs::set_permissions(&valgrind, Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(folder.path().join("debug")).unwrap();
    let baseline = folder.path().join("instructions.txt");
    let run = |cost, update| callgrind(folder.path(), &baseline, cost, update);

    let (good, said) = run(200, true);
    assert!(good, "{said}");
    assert!(
        fs::read_to_string(&baseline).unwrap().contains("\nfind 200\n"),
        "{said}"
    );
    let (good, said) = run(219, false);
    assert!(good && said.contains("+9.5 % of 200"), "{said}");
    let (good, said) = run(221, false);
    assert!(!good && said.contains("+10.5 % of 200: MORE THAN 10 %"), "{said}");

    let text = fs::read_to_string(&baseline).unwrap();
    fs::write(&baseline, text.replacen("# rustc", "# rustc 1.0 or", 1)).unwrap();
    let (good, said) = run(400, false);
    assert!(good && said.contains("nothing is judged by it"), "{said}");
}
