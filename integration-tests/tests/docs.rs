//! Promise: the pages in `docs/` print what is printed, name what there is, and their commands work on a waypoint that runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::waiting::soon;
use integration_tests::peers::waypoint_process::binary;
use std::path::{Path, PathBuf};
use std::process::Output;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pages, by path.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![root().join("deploy/README.md"), root().join("README.md")];
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    pages.extend(
        docs.map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "md")),
    );
    assert!(pages.len() >= 5, "{pages:?}");
    let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(path).unwrap());
    pages.into_iter().map(read).collect()
}

/// A command line as users type it, in the repository's folder.
async fn shell(line: &str) -> Output {
    let folder = binary().parent().unwrap().to_str().unwrap().to_owned();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = tokio::process::Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(root())
        .env("PATH", path)
        .kill_on_drop(true);
    soon(line, command.output()).await.unwrap()
}

/// The fenced blocks of a page, as (language, text).
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

#[tokio::test]
async fn blocks_with_output_show_what_is_printed() {
    let mut shown = 0;
    for (path, text) in pages() {
        for (_, block) in blocks(&text).into_iter().filter(|(language, _)| *language == "console") {
            let (line, wanted) = block.split_once('\n').unwrap();
            let line = line
                .strip_prefix("$ ")
                .unwrap_or_else(|| panic!("{}: {line}", path.display()));
            let found = shell(line).await;
            assert_eq!(
                String::from_utf8_lossy(&found.stdout).trim(),
                wanted.trim(),
                "{}: {line}",
                path.display()
            );
            shown += 1;
        }
    }
    assert!(shown >= 5, "{shown}");
}

/// `kubectl .. exec .. -- waypoint ..`: without the cluster.
fn in_the_pod(line: &str) -> Option<&str> {
    let (kubectl, command) = line.split_once(" -- ")?;
    (kubectl.trim_start().starts_with("kubectl") && command.starts_with("waypoint ")).then_some(command)
}

#[tokio::test]
async fn commands_in_the_pod_work() {
    let mut world = MeshWorld::new();
    let echo = world.echo("reviews", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let (requests, vip) = (client.clone(), echo.vip.clone());
    let traffic = tokio::spawn(async move {
        let mut http = requests.http1(&vip).await;
        for path in ["/", "/do/status/503"].repeat(10_000) {
            http.get(path).await;
        }
    });
    let admin = waypoint.admin.to_string();
    let mut run = 0;
    for (path, text) in pages() {
        for line in blocks(&text).into_iter().flat_map(|(_, block)| block.lines()) {
            let Some(command) = in_the_pod(line) else { continue };
            let command = match command.contains("127.0.0.1:15000") {
                true => command
                    .replace("127.0.0.1:15000", &admin)
                    .replace("reviews:9080", &echo.vip.host_port()),
                false => format!("{command} --live {admin}"),
            };
            let done = shell(&command).await;
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(
                done.status.success() && !done.stdout.is_empty(),
                "{}: {command}: {said}",
                path.display()
            );
            run += 1;
        }
    }
    traffic.abort();
    assert!(run >= 4, "{run}");
}

#[test]
fn links_lead_somewhere() {
    for (path, text) in pages() {
        // Comments are not shown.
        let shown: String = text
            .split("<!--")
            .map(|part| part.rsplit("-->").next().unwrap())
            .collect();
        for target in shown.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let led = path.parent().unwrap().join(target);
            assert!(led.exists(), "{}: no {target}", path.display());
        }
    }
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[tokio::test]
async fn variables_are_the_binarys() {
    let mut known = String::new();
    for command in ["run", "controller"] {
        let help = shell(&format!("waypoint {command} --help")).await;
        known += &String::from_utf8(help.stdout).unwrap();
    }
    let known = known.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for folder in ["docs", "deploy/charts", "deploy/kubernetes", "deploy/examples"] {
        files(&root().join(folder), &mut found);
    }
    found.retain(|path| {
        path.extension()
            .is_some_and(|ext| ["md", "yaml", "txt"].iter().any(|known| ext == *known))
    });
    let istios = [
        "XDS_ADDRESS",
        "ISTIO_META_NETWORK",
        "ISTIO_META_CLUSTER_ID",
        "TRUST_DOMAIN",
    ];
    // One is the tests' own.
    let is_variable = |word: &str| istios.contains(&word) || word.starts_with("WAYPOINT_") && word != "WAYPOINT_BIN";
    let mut named = 0;
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for word in words.filter(|word| is_variable(word)) {
            assert!(
                known.contains(&format!("[env: {word}=")),
                "{}: no flag has {word}",
                path.display()
            );
            named += 1;
        }
    }
    assert!(named > 15, "{named}");
}
