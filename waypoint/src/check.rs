//! `waypoint check`: findings like a compiler's.

use crate::cli::CheckArgs;
use mesh::{Finding, Scope, Severity};
use std::io::Write;
use std::process::ExitCode;

/// Prints the findings; 0 without errors, 1 with, 2 when a folder cannot be read.
pub fn run(args: CheckArgs) -> ExitCode {
    let scope = Scope {
        namespace: args.namespace,
        gateway: args.gateway,
        several_auth_providers: args.several_auth_providers,
        ..Scope::default()
    };
    let findings = match mesh::check(&args.dirs, scope) {
        Ok(findings) => findings,
        Err(error) => {
            eprintln!("waypoint check: {error}");
            return ExitCode::from(2);
        }
    };
    // A reader that closed the pipe has read enough.
    let _ = print(&findings, args.format == "json");
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print(findings: &[Finding], json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let all: Vec<_> = findings.iter().map(Finding::to_json).collect();
        return writeln!(out, "{:#}", serde_json::Value::from(all));
    }
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    let warnings = findings.len().saturating_sub(errors);
    writeln!(
        out,
        "{errors} error{}, {warnings} warning{}",
        plural(errors),
        plural(warnings)
    )
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
