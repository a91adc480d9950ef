#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::cli::{Cli, Command};
use clap::Parser;

fn parse(more: &[&str]) -> Result<RunArgs, clap::Error> {
    let line = ["waypoint", "run", "--config", "c"].iter().chain(more);
    Ok(match Cli::try_parse_from(line)?.command {
        Command::Run(args) => *args,
        other => panic!("{other:?}"),
    })
}

/// Without what the environment of the tests may say.
fn args(more: &[&str]) -> RunArgs {
    let mut args = parse(more).unwrap();
    (args.spiffe_socket, args.istio_socket, args.istio_ca) = (None, None, None);
    args
}

#[test]
fn flags_go_before_the_variables_of_others() {
    let (none, some) = (|_: &Path| false, |_: &Path| true);
    let folder = || Origin::Folder(FOLDER.into());
    let agent = |address: &str| Origin::Agent(address.to_owned());
    let mut given = args(&[]);
    assert_eq!(origin(&given, none), folder());
    given.istio_ca = Some(String::new());
    assert_eq!(origin(&given, none), folder());
    given.istio_ca = Some("istiod:15012".into());
    assert_eq!(origin(&given, none), Origin::Ca("istiod:15012".into()));
    assert_eq!(origin(&given, some), folder());
    given.istio_socket = Some("socket".into());
    let named = agent("/var/run/secrets/workload-spiffe-uds/socket");
    assert_eq!(origin(&given, some), named);
    given.spiffe_socket = Some("unix:///run/a.sock".into());
    assert_eq!(origin(&given, some), agent("unix:///run/a.sock"));
    let (socket, ca) = (given.spiffe_socket.clone(), given.istio_ca.clone());
    for (flag, value, expected) in [
        ("--certs", "certs", Origin::Folder("certs".into())),
        ("--workload-api", "unix:/run/b.sock", agent("unix:/run/b.sock")),
        ("--ca-address", "ca:1", Origin::Ca("ca:1".into())),
    ] {
        let flag = RunArgs {
            spiffe_socket: socket.clone(),
            istio_ca: ca.clone(),
            ..args(&[flag, value])
        };
        assert_eq!(origin(&flag, some), expected);
    }
}

#[test]
fn two_flags_are_an_error_that_names_both() {
    let flags = [
        ("--certs", "d"),
        ("--workload-api", "unix:/b"),
        ("--ca-address", "ca:1"),
    ];
    for (index, (one, value)) in flags.iter().enumerate() {
        for (other, second) in &flags[index + 1..] {
            let error = parse(&[one, value, other, second]).unwrap_err().to_string();
            assert!(error.contains(one) && error.contains(other), "{error}");
        }
    }
}

#[test]
fn who_we_are_must_be_known_to_ask_a_ca() {
    let ask = |more: &[&str]| {
        let args = RunArgs {
            namespace: more.first().map(|&namespace| namespace.to_owned()),
            gateway: more.get(1).map(|&gateway| gateway.to_owned()),
            service_account: more.get(2).map(|&account| account.to_owned()),
            ..args(&[])
        };
        ca(&args, "istiod:15012".to_owned(), "td")
    };
    let id = |more: &[&str]| ask(more).unwrap().id.as_str().to_owned();
    assert_eq!(id(&["demo", "gate"]), "spiffe://td/ns/demo/sa/gate");
    assert_eq!(id(&["demo", "gate", "account"]), "spiffe://td/ns/demo/sa/account");
    for (more, word) in [
        (&[][..], "--namespace"),
        (&["demo"], "--service-account"),
        (&["de/mo", "gate"], "istiod:15012"),
    ] {
        let error = ask(more).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
