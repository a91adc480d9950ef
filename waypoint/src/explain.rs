//! `waypoint explain`: what would become of a request, and why, by manifests or by a running waypoint.
//!
//! The steps are walked in `proxy/explain`, by the functions that serve requests; here is what is asked (`question`), what
//! is answered (`report`), and how it is printed (`text`).

pub(crate) mod acts;
pub(crate) mod address;
mod paint;
pub(crate) mod question;
pub(crate) mod report;
mod text;

use crate::admin_client::{self, Call};
use crate::cli::ExplainArgs;
use crate::proxy::{Node, World, explain};
use authz::{KeySet, KeySets};
use mesh::{Files, Scope, Severity, Snapshot};
pub(crate) use paint::Paint;
use question::Question;
use report::Report;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Prints the explanation; 0 when the request would be served, 1 when it would be refused, 2 when that cannot be told.
pub fn run(args: ExplainArgs) -> ExitCode {
    match report(&args) {
        Ok(report) => print(&report, args.format == "json"),
        Err(why) => {
            eprintln!("waypoint explain: {why}");
            ExitCode::from(2)
        }
    }
}

fn report(args: &ExplainArgs) -> Result<Report, String> {
    let question = question(args)?;
    let dirs = args.words.split_last().map_or(&[][..], |(_, dirs)| dirs);
    match (args.live, dirs) {
        (Some(address), []) => live(address, &question),
        (Some(_), _) => Err("expected no folder beside --live: the running waypoint has its own config".to_owned()),
        (None, []) => Err("expected a folder of manifests before the request, or --live ADDR".to_owned()),
        (None, dirs) => offline(args, dirs, &question),
    }
}

fn question(args: &ExplainArgs) -> Result<Question, String> {
    let header = |text: &String| {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| format!("expected --header name:value, found {text:?}"))?;
        Ok::<_, String>((name.trim().to_owned(), value.trim().to_owned()))
    };
    Ok(Question {
        request: args.words.last().cloned().unwrap_or_default(),
        from: args.from.clone(),
        headers: args.header.iter().map(header).collect::<Result<_, _>>()?,
        source_ip: args.source_ip,
        jwt: args.jwt.as_deref().map(read).transpose()?,
    })
}

fn offline(args: &ExplainArgs, dirs: &[String], question: &Question) -> Result<Report, String> {
    let scope = Scope {
        namespace: args.namespace.clone(),
        gateway: args.gateway.clone(),
        trust_domain: args.trust_domain.clone(),
        several_auth_providers: args.several_auth_providers,
        ..Scope::default()
    };
    let dirs = dirs.iter().map(PathBuf::from).collect();
    let files = Files::load(dirs, scope).map_err(|error| error.to_string())?;
    let errors = files
        .findings
        .borrow()
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    let snapshot = files.snapshot.load_full();
    let keys = match &args.jwks {
        Some(path) => keys(&snapshot, &read(path)?)?,
        None => KeySets::default(),
    };
    let world = World {
        snapshot: &snapshot,
        keys: &keys,
        node: None,
    };
    let mut report = explain(&world, &question.read(&snapshot.settings.trust.own)?);
    if errors > 0 {
        let note =
            format!("the manifests have {errors} error(s), and what they say is not all in force: see waypoint check");
        report.notes.push(note);
    }
    Ok(report)
}

/// One key set in place of all that are fetched.
fn keys(snapshot: &Snapshot, jwks: &str) -> Result<KeySets, String> {
    let set = KeySet::parse(jwks).map_err(|why| format!("--jwks: {why}"))?;
    let set = Arc::new(set);
    let mut keys = KeySets::default();
    for source in snapshot.key_sources() {
        keys.sets.insert(Arc::clone(&source.id), Arc::clone(&set));
    }
    Ok(keys)
}

fn live(address: std::net::SocketAddr, question: &Question) -> Result<Report, String> {
    let body = serde_json::to_vec(question).map_err(|error| error.to_string())?;
    let reply = admin_client::call(address, Call::post("/explain", body))?;
    serde_json::from_slice(&reply).map_err(|error| format!("{address} did not answer as a waypoint: {error}"))
}

/// Answers the admin port's `/explain`.
///
/// # Errors
/// What is wrong with the question.
pub(crate) fn answer(node: &Node, body: &[u8]) -> Result<String, String> {
    let question: Question = serde_json::from_slice(body).map_err(|error| format!("not a question: {error}"))?;
    let (snapshot, keys) = (node.snapshot.load_full(), node.keys.load_full());
    let world = World {
        snapshot: &snapshot,
        keys: &keys,
        node: Some(node),
    };
    let report = explain(&world, &question.read(&snapshot.settings.trust.own)?);
    serde_json::to_string_pretty(&report).map_err(|error| error.to_string())
}

fn print(report: &Report, json: bool) -> ExitCode {
    let text = match json {
        true => serde_json::to_string_pretty(report).unwrap_or_default() + "\n",
        false => text::render(report, Paint::of_stdout()),
    };
    // A reader that closed the pipe has read enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    match (report.answer.known, report.answer.served) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::FAILURE,
        (false, _) => ExitCode::from(2),
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
