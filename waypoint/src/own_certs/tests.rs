#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::cli::{Cli, Command};
use clap::Parser;

fn args(more: &[&str]) -> RunArgs {
    let line = ["waypoint", "run", "--config", "c"].iter().chain(more);
    match Cli::try_parse_from(line).unwrap().command {
        Command::Run(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_go_before_the_variables_of_others() {
    let mut none = args(&[]);
    (none.spiffe_socket, none.istio_socket) = (None, None);
    assert_eq!(agent(&none), None);
    none.istio_socket = Some("socket".into());
    assert_eq!(agent(&none).unwrap(), "/var/run/secrets/workload-spiffe-uds/socket");
    none.spiffe_socket = Some("unix:///run/a.sock".into());
    assert_eq!(agent(&none).unwrap(), "unix:///run/a.sock");
    none.certs = Some("certs".into());
    assert_eq!(agent(&none), None);
    let flag = args(&["--workload-api", "unix:/run/b.sock"]);
    assert_eq!(agent(&flag).unwrap(), "unix:/run/b.sock");
    let both = [
        "waypoint",
        "run",
        "--config",
        "c",
        "--certs",
        "d",
        "--workload-api",
        "unix:/b",
    ];
    assert!(Cli::try_parse_from(both).is_err());
}
