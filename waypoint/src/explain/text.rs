//! The explanation as people read it: one section for each step, the chosen and the matching in front of the rest.

use super::paint::Paint;
use super::report::{Answer, BackendTold, Report, TokenTold};
use std::fmt::{self, Write};

/// Lines of one section at most; JSON has them all.
const MOST_LINES: usize = 40;

/// The whole text.
pub(crate) fn render(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a String never fails.
    let _ = Text { out: &mut out, paint }.all(report);
    out
}

struct Text<'o> {
    out: &'o mut String,
    paint: Paint,
}

impl Text<'_> {
    fn all(&mut self, report: &Report) -> fmt::Result {
        self.request(report)?;
        self.routes(report)?;
        if let Some(token) = &report.token {
            self.token(token)?;
        }
        self.policies(report)?;
        self.rule(report)?;
        self.backends(report)?;
        self.notes(report)?;
        self.answer(&report.answer)
    }

    fn title(&mut self, title: &str) -> fmt::Result {
        writeln!(self.out, "\n{}", self.paint.bold(title))
    }

    fn request(&mut self, report: &Report) -> fmt::Result {
        let seen = &report.request;
        let query = if seen.has_query { "?.." } else { "" };
        let line = match seen.method.as_str() {
            "" => format!("connection to {}", seen.authority),
            method => format!("{method} {}{}{query}", seen.authority, seen.written_path),
        };
        writeln!(self.out, "{}", self.paint.bold(&line))?;
        let address = report.from.address.as_deref().unwrap_or("address unknown");
        writeln!(self.out, "  from      {} ({address})", report.from.identity)?;
        writeln!(self.out, "  tunnel    CONNECT {}", report.connect)?;
        if let Some(service) = &report.service {
            writeln!(
                self.out,
                "  service   {}:{}, {}",
                service.host, service.port, service.protocol
            )?;
            if let Some(namespace) = &service.consumer_routes_of {
                writeln!(
                    self.out,
                    "  routes    those of the client's namespace {namespace}, in place of the Service's"
                )?;
            }
        }
        if seen.path.is_empty() {
            // Nothing was parsed: a connection, or a head that is refused.
        } else if seen.path == seen.written_path {
            writeln!(
                self.out,
                "  path      {}, as written ({})",
                seen.path, seen.path_normalization
            )?;
        } else {
            writeln!(
                self.out,
                "  path      {} becomes {} ({})",
                seen.written_path,
                self.paint.bold(&seen.path),
                seen.path_normalization
            )?;
        }
        if !seen.removed_headers.is_empty() {
            let names = seen.removed_headers.join(", ");
            writeln!(
                self.out,
                "  headers   a client may not set, and that are removed: {names}"
            )?;
        }
        Ok(())
    }

    fn routes(&mut self, report: &Report) -> fmt::Result {
        if report.routes.is_empty() {
            return Ok(());
        }
        self.title("Routes, in order of precedence")?;
        let chosen = report.routes.iter().position(|one| one.lost_because.is_none());
        // The first ones, and the chosen one wherever it is.
        let told = |index: usize| index < MOST_LINES || Some(index) == chosen;
        for (_, one) in report.routes.iter().enumerate().filter(|(index, _)| told(*index)) {
            self.line(
                one.lost_because.is_none(),
                &one.what,
                one.lost_because.as_deref().unwrap_or("chosen"),
            )?;
        }
        let shown = (0..report.routes.len()).filter(|index| told(*index)).count();
        self.more(
            report
                .routes
                .len()
                .saturating_sub(shown)
                .saturating_add(report.more_routes),
        )?;
        if chosen.is_none() {
            writeln!(self.out, "  none matches")?;
        }
        Ok(())
    }

    fn token(&mut self, token: &TokenTold) -> fmt::Result {
        self.title("RequestAuthentication")?;
        for rule in &token.rules {
            writeln!(self.out, "  - {rule}")?;
        }
        for found in &token.found {
            match &found.accepted_by {
                Some(rule) => self.line(true, &found.place, &format!("accepted by {rule}"))?,
                None => self.line(false, &found.place, &found.refusals.join("; "))?,
            }
        }
        let result = match (token.result.as_str(), &token.reason, &token.principal) {
            ("none", ..) => "no token: passes, without a request principal".to_owned(),
            ("preflight", ..) => "a CORS preflight is not asked for tokens".to_owned(),
            ("accepted", _, Some(principal)) => format!("accepted; request principal {principal}"),
            ("refused", Some(reason), _) => format!("refused: {reason}"),
            ("unknown", ..) => "not known here".to_owned(),
            (result, ..) => result.to_owned(),
        };
        writeln!(self.out, "  {result}")
    }

    fn policies(&mut self, report: &Report) -> fmt::Result {
        let Some(verdict) = &report.verdict else { return Ok(()) };
        self.title("AuthorizationPolicies, in the order in which they are asked")?;
        // Those that match first where there are too many.
        let many = report.policies.len() > MOST_LINES;
        let told = report
            .policies
            .iter()
            .filter(|rule| !many || rule.lost_because.is_none());
        let mut count = 0_usize;
        for rule in told.take(MOST_LINES) {
            count += 1;
            let place = rule.rule.map_or(String::new(), |index| format!(" rule {index}"));
            let provider = rule
                .provider
                .as_ref()
                .map_or(String::new(), |name| format!(" (asks {name})"));
            let dry_run = if rule.dry_run { " (dry run)" } else { "" };
            let what = format!("{} {}{place}{provider}{dry_run}", rule.action, rule.policy);
            self.line(
                rule.lost_because.is_none(),
                &what,
                rule.lost_because.as_deref().unwrap_or("matches"),
            )?;
        }
        self.more(report.policies.len().saturating_sub(count))?;
        let by = verdict.by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
        let verdict_text = if verdict.allowed {
            self.paint.good("allowed")
        } else {
            self.paint.bad("denied")
        };
        writeln!(self.out, "  {verdict_text}{by}: {}", verdict.why)
    }

    fn rule(&mut self, report: &Report) -> fmt::Result {
        let Some(rule) = &report.rule else { return Ok(()) };
        self.title(&format!("Rule: {}", rule.name))?;
        for filter in &rule.filters {
            writeln!(self.out, "  {filter}")?;
        }
        if let Some(limit) = rule.request_timeout_ms {
            writeln!(self.out, "  timeout: {limit} ms for the request")?;
        }
        if let Some(limit) = rule.try_timeout_ms {
            writeln!(self.out, "  timeout: {limit} ms for each try")?;
        }
        if !rule.retries.is_empty() {
            writeln!(self.out, "  retries: {}", rule.retries)?;
        }
        Ok(())
    }

    fn backends(&mut self, report: &Report) -> fmt::Result {
        if report.backends.is_empty() {
            return Ok(());
        }
        self.title("Backends")?;
        for backend in &report.backends {
            self.backend(backend)?;
        }
        Ok(())
    }

    fn backend(&mut self, backend: &BackendTold) -> fmt::Result {
        let ready = backend.endpoints.iter().filter(|endpoint| !endpoint.ejected).count();
        let known = backend.endpoints.len() + backend.more_endpoints;
        let state = if !backend.answer.served {
            self.paint.bad(&status_words(&backend.answer))
        } else if known == 0 {
            backend.answer.words.clone()
        } else {
            format!("{} of {known} endpoints ready", ready + backend.more_endpoints)
        };
        writeln!(self.out, "  {:>6} %  {}  {state}", backend.percent, backend.name)?;
        for filter in &backend.filters {
            writeln!(self.out, "            {filter}")?;
        }
        for endpoint in backend.endpoints.iter().take(MOST_LINES) {
            let hbone = if endpoint.hbone { "HBONE" } else { "clear" };
            let ejected = if endpoint.ejected { ", ejected" } else { "" };
            writeln!(
                self.out,
                "            {} {} ({hbone}{ejected})",
                endpoint.address, endpoint.workload
            )?;
        }
        let more = backend.endpoints.len().saturating_sub(MOST_LINES) + backend.more_endpoints;
        self.more(more)
    }

    fn notes(&mut self, report: &Report) -> fmt::Result {
        if report.notes.is_empty() {
            return Ok(());
        }
        self.title("Notes")?;
        report.notes.iter().try_for_each(|note| writeln!(self.out, "  {note}"))
    }

    fn answer(&mut self, answer: &Answer) -> fmt::Result {
        self.title("Answer")?;
        if !answer.known {
            return writeln!(self.out, "  not known here: {}", answer.words);
        }
        if answer.served {
            let status = answer.status.map_or(String::new(), |status| format!("{status}, "));
            return writeln!(self.out, "  {}: {status}{}", self.paint.good("served"), answer.words);
        }
        writeln!(self.out, "  {}", self.paint.bad(&status_words(answer)))?;
        let reason = if answer.reason.is_empty() { "-" } else { &answer.reason };
        writeln!(self.out, "  reason {reason}, response flag {}", answer.flag)?;
        if answer.details.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "  in the access log: {}", answer.details)
    }

    fn line(&mut self, good: bool, what: &str, why: &str) -> fmt::Result {
        match good {
            true => writeln!(
                self.out,
                "  {} {}: {}",
                self.paint.good("*"),
                what,
                self.paint.good(why)
            ),
            false => writeln!(self.out, "  - {what}: {}", self.paint.dim(why)),
        }
    }

    fn more(&mut self, count: usize) -> fmt::Result {
        match count {
            0 => Ok(()),
            count => writeln!(self.out, "  .. and {count} more; --format json tells them"),
        }
    }
}

/// `403 RBAC: access denied`.
fn status_words(answer: &Answer) -> String {
    match (answer.status, answer.grpc_status) {
        (_, Some(grpc)) => format!("grpc-status {grpc}: {}", answer.words),
        (Some(status), None) => format!("{status} {}", answer.words),
        (None, None) => answer.words.clone(),
    }
}

#[cfg(test)]
mod tests;
