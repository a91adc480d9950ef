#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use clap::CommandFactory;
use std::path::Path;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The words of a line as a shell would have them: quotes, no escapes; a comment ends it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
            continue;
        }
        let plain = part.split(" #").next().unwrap();
        words.extend(plain.split_whitespace().map(str::to_owned));
        if plain.len() < part.len() {
            break;
        }
    }
    words
}

/// Every command of ours in a text, continued lines joined.
fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.trim().trim_start_matches("$ "));
    let ours = lines.filter_map(|line| Some(&line[line.find("waypoint-bench ")?..]).filter(|_| is_command(line)));
    ours.map(words).collect()
}

/// Prose names the program, too.
fn is_command(line: &str) -> bool {
    line.starts_with("waypoint-bench ") || line.starts_with("target/release/waypoint-bench ")
}

fn parse(words: &[String], whence: &str) {
    if let Err(error) = Cli::try_parse_from(words) {
        panic!("{whence}: {words:?}: {error}");
    }
}

#[test]
fn every_example_of_the_help_is_understood() {
    let mut found = 0;
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for words in commands(&help) {
            parse(&words, command.get_name());
            found += 1;
        }
    }
    assert!(found > 15, "{found}");
}

#[test]
fn every_command_of_the_pages_is_understood() {
    let mut found = 0;
    for page in ["README.md", "docs/load-test.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let blocks = text.split("```").skip(1).step_by(2);
        for words in blocks.flat_map(commands) {
            parse(&words, page);
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn the_jobs_are_understood() {
    let text = std::fs::read_to_string(root().join("deploy/bench-job.yaml")).unwrap();
    let mut jobs = 0;
    for (_, after) in text.match_indices("args:").map(|(place, _)| text.split_at(place + 5)) {
        let list = after.lines().skip(1).map(str::trim);
        let list: Vec<_> = list
            .map_while(|line| line.strip_prefix("- "))
            .map(str::to_owned)
            .collect();
        if list.is_empty() {
            continue;
        }
        parse(&[vec!["waypoint-bench".to_owned()], list].concat(), "bench-job.yaml");
        jobs += 1;
    }
    assert_eq!(jobs, 3);
}
