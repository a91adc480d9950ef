#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::cli::{Cli, Command};
use clap::Parser;

fn args(more: &[&str]) -> LoadArgs {
    let all = ["waypoint-bench", "load", "--service", "reviews.demo:9080"];
    let Command::Load(args) = Cli::try_parse_from(all.iter().chain(more)).unwrap().command else {
        panic!()
    };
    *args
}

#[test]
fn steps_share_the_time_and_the_first_one_warms_up() {
    let args = args(&["--rate", "10,20", "--duration", "8", "--warm-up", "2"]);
    let steps = steps(&args).unwrap();
    assert_eq!(
        steps.iter().map(|step| step.rate).collect::<Vec<_>>(),
        [Some(10), Some(20)]
    );
    let schedule = plan(&args, &steps).unwrap().schedule.unwrap();
    // 6 s at 10 a second.
    assert_eq!(schedule.at(60), Duration::from_secs(6));
    assert_eq!(schedule.at(80), Duration::from_secs(7));
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    for (bad, why) in [
        (&["--in-flight", "2"][..], "--protocol http2"),
        (
            &["--new-connections", "--protocol", "grpc", "--in-flight", "2"],
            "--streams",
        ),
        (
            &[
                "--streams",
                "101",
                "--waypoint",
                "x:1",
                "--waypoint-identity",
                "spiffe://a/ns/b/sa/c",
            ],
            "--connections",
        ),
        (&["--header", "nonsense"], "name: value"),
    ] {
        let args = args(bad);
        let told = plan(&args, &steps(&args).unwrap()).map(drop).unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_request_is_what_was_asked_for() {
    let args = args(&[
        "--header",
        "x-a: 1",
        "--header",
        "x-a: 2",
        "--method",
        "PUT",
        "--path",
        "/x?y",
        "--body-bytes",
        "3",
    ]);
    let request = ask(&args.way, &args.ask).unwrap().http1();
    let request = std::str::from_utf8(&request).unwrap();
    assert!(
        request.starts_with("PUT /x?y HTTP/1.1\r\nhost: reviews.demo:9080\r\n"),
        "{request}"
    );
    assert!(
        request.contains("x-a: 1\r\nx-a: 2\r\n") && request.ends_with("\r\n\r\n012"),
        "{request}"
    );
}

#[test]
fn a_token_is_sent_and_not_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a.b.c\n").unwrap();
    let token = file.path().to_str().unwrap();
    let tokened = || {
        let args = args(&["--token", token]);
        ask(&args.way, &args.ask)
    };
    let sent = tokened().unwrap();
    assert_eq!(sent.headers["authorization"], "Bearer a.b.c");
    std::fs::write(file.path(), "secret\nsecret").unwrap();
    let told = tokened().unwrap_err().to_string();
    assert!(!told.contains("secret"), "{told}");
}
