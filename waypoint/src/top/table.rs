//! Two answers of `/api/stats` as a table: what happened between them, and since the start where nothing did.

use crate::explain::Paint;
use crate::live::percentile;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// Rules shown at most, the busiest first.
const MOST_RULES: usize = 50;

pub(super) fn render(before: &Value, now: &Value, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a String never fails.
    let _ = write_all(&mut out, before, now, paint);
    out
}

fn write_all(out: &mut String, before: &Value, now: &Value, paint: Paint) -> fmt::Result {
    let number = |name: &str| now.get(name).and_then(Value::as_u64).unwrap_or_default();
    let millis = number("atMs").saturating_sub(before.get("atMs").and_then(Value::as_u64).unwrap_or_default());
    let seconds = (millis.max(1) as f64) / 1_000.0;
    writeln!(
        out,
        "config {}   tunnels {}   in flight {}   upstream connections {}{}",
        number("generation"),
        number("tunnels"),
        number("requestsInFlight"),
        number("upstreamConnections"),
        if now["draining"] == true { "   draining" } else { "" },
    )?;
    let head = format!(
        "\n{:<58} {:>9} {:>10} {:>7} {:>8} {:>8} {:>8}  errors by flag",
        "rule / backend", "req/s", "total", "wanted", "measured", "p50 ms", "p99 ms"
    );
    writeln!(out, "{}", paint.bold(&head))?;
    let mut rules = rows(before, now, seconds);
    let hidden = rules.len().saturating_sub(MOST_RULES);
    rules.truncate(MOST_RULES);
    for rule in &rules {
        rule.write(out, 0, paint)?;
        for backend in rule
            .backends
            .iter()
            .filter(|_| rule.backends.len() > 1 || !rule.implicit)
        {
            backend.write(out, 2, paint)?;
        }
    }
    if hidden > 0 {
        writeln!(out, ".. and {hidden} more")?;
    }
    edges(out, before, now, seconds, paint)?;
    denials(out, now, paint)
}

/// One line.
struct Row {
    name: String,
    rate: f64,
    total: u64,
    wanted: Option<f64>,
    measured: Option<f64>,
    p50: Option<f64>,
    p99: Option<f64>,
    flags: Vec<String>,
    implicit: bool,
    backends: Vec<Row>,
}

/// Rules that were used, the busiest first.
fn rows(before: &Value, now: &Value, seconds: f64) -> Vec<Row> {
    let old = by_name(&before["rules"], "rule");
    let mut rows: Vec<Row> = Vec::new();
    for rule in list(&now["rules"]) {
        let known = old.get(text(rule, "rule")).copied();
        let mut row = Row::of(text(rule, "rule"), known, rule, seconds);
        row.implicit = text(rule, "kind") == "implicit route";
        let old = known
            .map(|known| by_name(&known["backends"], "name"))
            .unwrap_or_default();
        row.backends = list(&rule["backends"])
            .iter()
            .map(|backend| {
                Row::of(
                    text(backend, "name"),
                    old.get(text(backend, "name")).copied(),
                    backend,
                    seconds,
                )
            })
            .collect();
        let picked: f64 = row.backends.iter().map(|backend| backend.rate).sum();
        for backend in row.backends.iter_mut().filter(|_| picked > 0.0) {
            backend.measured = Some(backend.rate * 100.0 / picked);
        }
        rows.push(row);
    }
    rows.retain(|row| row.total > 0);
    rows.sort_by(|one, other| other.rate.total_cmp(&one.rate).then_with(|| one.name.cmp(&other.name)));
    rows
}

impl Row {
    fn of(name: &str, before: Option<&Value>, now: &Value, seconds: f64) -> Self {
        let (old, new) = (before.map(durations).unwrap_or_default(), durations(now));
        let mut between: Vec<(u64, u64)> = new
            .iter()
            .map(|(upper, count)| {
                (
                    *upper,
                    count.saturating_sub(old.get(upper).copied().unwrap_or_default()),
                )
            })
            .collect();
        if between.iter().all(|(_, count)| *count == 0) {
            between = new.into_iter().collect();
        }
        let total = requests(now);
        Self {
            name: name.to_owned(),
            rate: total.saturating_sub(before.map_or(0, requests)) as f64 / seconds,
            total,
            wanted: now["wantedPercent"].as_f64(),
            measured: now["measuredPercent"].as_f64(),
            p50: percentile(&between, 0.5),
            p99: percentile(&between, 0.99),
            flags: flags(before, now),
            implicit: false,
            backends: Vec::new(),
        }
    }

    fn write(&self, out: &mut String, indent: usize, paint: Paint) -> fmt::Result {
        let name = format!("{:indent$}{}", "", self.name);
        let percent = |share: Option<f64>| share.map_or_else(String::new, |share| format!("{share:.1} %"));
        let millis = |time: Option<f64>| time.map_or_else(String::new, |time| format!("{time:.2}"));
        writeln!(
            out,
            "{name:<58} {:>9.1} {:>10} {:>7} {:>8} {:>8} {:>8}  {}",
            self.rate,
            self.total,
            percent(self.wanted),
            percent(self.measured),
            millis(self.p50),
            millis(self.p99),
            paint.bad(&self.flags.join(" ")),
        )
    }
}

fn edges(out: &mut String, before: &Value, now: &Value, seconds: f64, paint: Paint) -> fmt::Result {
    let name = |edge: &Value| {
        let (namespace, workload) = (text(edge, "sourceNamespace"), text(edge, "sourceWorkload"));
        format!("{namespace}/{workload} -> {}:{}", text(edge, "service"), edge["port"])
    };
    let old: BTreeMap<String, u64> = list(&before["edges"])
        .iter()
        .map(|edge| (name(edge), requests(edge)))
        .collect();
    if list(&now["edges"]).is_empty() {
        return Ok(());
    }
    writeln!(out, "{}", paint.bold("\nclient -> service"))?;
    for edge in list(&now["edges"]) {
        let name = name(edge);
        let rate = requests(edge).saturating_sub(old.get(&name).copied().unwrap_or_default()) as f64 / seconds;
        writeln!(out, "{name:<58} {rate:>9.1} {:>10}", requests(edge))?;
    }
    Ok(())
}

fn denials(out: &mut String, now: &Value, paint: Paint) -> fmt::Result {
    if list(&now["denials"]).is_empty() {
        return Ok(());
    }
    writeln!(out, "{}", paint.bold("\ndenied by"))?;
    for policy in list(&now["denials"]) {
        let last = &policy["last"];
        let (client, request) = (text(last, "client"), text(last, "request"));
        writeln!(
            out,
            "{:<58} {:>20}  last: {client} {request}",
            text(policy, "policy"),
            policy["denials"]
        )?;
    }
    Ok(())
}

fn flags(before: Option<&Value>, now: &Value) -> Vec<String> {
    let old = |flag: &str| {
        before
            .and_then(|before| before.get("flags")?.get(flag)?.as_u64())
            .unwrap_or_default()
    };
    let all = now["flags"].as_object();
    let all = all.into_iter().flatten();
    all.filter_map(|(flag, count)| {
        let count = count.as_u64()?;
        let more = count.saturating_sub(old(flag));
        Some(if more > 0 {
            format!("{flag}:{count}(+{more})")
        } else {
            format!("{flag}:{count}")
        })
    })
    .collect()
}

fn by_name<'v>(all: &'v Value, key: &str) -> BTreeMap<&'v str, &'v Value> {
    list(all).iter().map(|one| (text(one, key), one)).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn requests(value: &Value) -> u64 {
    value["requests"].as_u64().unwrap_or_default()
}

fn durations(value: &Value) -> BTreeMap<u64, u64> {
    let pairs = list(&value["durations"]).iter();
    pairs
        .filter_map(|pair| Some((pair.get(0)?.as_u64()?, pair.get(1)?.as_u64()?)))
        .collect()
}

#[cfg(test)]
mod tests;
