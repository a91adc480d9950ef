#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::expression::Expression;
use crate::fixture::{Fixture, golden, logging};
use crate::plan::{LogRule, MetricsPlan, TracingPlan};
use http::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

const PATIENCE: Duration = Duration::from_secs(30);

/// An output that tests can read, and break.
#[derive(Clone, Default)]
struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Bytes that still fit; then `ENOSPC`.
    room: Arc<Mutex<Option<usize>>>,
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        let take = room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if take == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if let Some(room) = room.as_mut() {
            *room -= take;
        }
        self.bytes.lock().unwrap().extend_from_slice(&bytes[..take]);
        Ok(take)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }
}

fn fixture(format: LogFormat) -> Fixture {
    Fixture {
        plan: logging(format),
        ..Fixture::default()
    }
}

fn mix(log: &AccessLog, format: LogFormat) {
    let fixture = fixture(format);
    let base = fixture.outcome();
    log.write(&base);
    log.write(&Outcome {
        status: 404,
        flags: "NR",
        details: "route_not_found",
        destination: None,
        upstream_address: None,
        user_agent: None,
        request_id: None,
        forwarded_for: None,
        route: None,
        tries: &[],
        ..base.clone()
    });
    log.write(&Outcome {
        status: 503,
        flags: "UF",
        details: "upstream reset before response started{connection failure}",
        tries: &fixture.tries[..1],
        http_version: "HTTP/2",
        ..base.clone()
    });
    log.write(&Outcome {
        path: "/x?a=1&access_token=eyJhbGciOi.secret&b=2",
        ..base.clone()
    });
    // Forging: a line break and a quote in everything that a client chooses.
    let evil = "x\"\r\n[2026-01-31T12:00:00.123Z] \"GET /forged HTTP/1.1\" 200 \\\u{1b}[31m\u{85}\u{2028}é\u{1f600}\0";
    log.write(&Outcome {
        method: evil,
        authority: evil,
        path: evil,
        user_agent: Some(evil),
        request_id: Some(evil),
        forwarded_for: Some(evil),
        route: Some(evil),
        details: evil,
        ..base
    });
}

fn written(format: LogFormat) -> String {
    let out = Memory::default();
    let log = AccessLog::new(Box::new(out.clone()));
    mix(&log, format);
    assert!(log.flush(PATIENCE));
    out.text()
}

#[test]
fn text_lines_are_istios() {
    golden("access-log.txt", &written(LogFormat::istio_text()));
}

#[test]
fn json_lines_are_istios() {
    golden("access-log.json", &written(LogFormat::istio_json()));
}

fn connections(format: LogFormat) -> String {
    let out = Memory::default();
    let log = AccessLog::new(Box::new(out.clone()));
    let fixture = fixture(format);
    let base = TcpOutcome {
        received: 517,
        sent: 4_096,
        ..fixture.tcp()
    };
    log.write_tcp(&base);
    log.write_tcp(&TcpOutcome {
        sni: Some("db.example.com"),
        route: Some("bookinfo/db/rule-0"),
        ..base.clone()
    });
    log.write_tcp(&TcpOutcome {
        flags: "UAEX",
        details: "rbac_access_denied_matched_policy[ns[bookinfo]-policy[no one]-rule[0]]",
        destination: None,
        upstream_address: None,
        sni: Some("x\"\r\n[2026-01-31T12:00:00.123Z]"),
        ..base
    });
    assert!(log.flush(PATIENCE));
    out.text()
}

#[test]
fn lines_of_connections_are_istios() {
    golden("access-log-tcp.txt", &connections(LogFormat::istio_text()));
    golden("access-log-tcp.json", &connections(LogFormat::istio_json()));
}

#[test]
fn no_header_can_forge_a_line_or_a_field() {
    let text = written(LogFormat::istio_text());
    assert_eq!(text.lines().count(), 5);
    for line in text.lines() {
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        // Outside of quotes there are as many fields as in the format.
        let mut quoted = false;
        let mut escaped = false;
        let mut bare = String::new();
        for character in line.chars() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                other if !quoted => bare.push(other),
                _ => {}
            }
        }
        assert!(!quoted, "{line}");
        assert_eq!(bare.split(' ').count(), 22, "{bare:?}");
    }
}

#[test]
fn json_lines_are_one_object_each_with_the_hostile_text_inside() {
    let text = written(LogFormat::istio_json());
    let values: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 5);
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    assert_eq!(values[0]["response_code"], 200);
    assert!(values[1]["user_agent"].is_null() && values[1]["upstream_host"].is_null());
    assert!(values[4]["user_agent"].as_str().unwrap().contains("\r\n[2026"));
    assert!(
        values[4]["path"]
            .as_str()
            .unwrap()
            .ends_with("\u{85}\u{2028}é\u{1f600}\0"),
        "{}",
        values[4]["path"]
    );
    let keys: Vec<_> = values[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 24);
}

#[test]
fn a_full_disk_costs_lines_and_no_more() {
    let out = Memory::default();
    let log = AccessLog::new(Box::new(out.clone()));
    let fixture = fixture(LogFormat::istio_text());
    *out.room.lock().unwrap() = Some(100);
    log.write(&fixture.outcome());
    assert!(log.flush(PATIENCE));
    log.write(&fixture.outcome());
    assert!(log.flush(PATIENCE));
    assert_eq!(log.dropped(), 2);
    *out.room.lock().unwrap() = None;
    log.write(&fixture.outcome());
    assert!(log.flush(PATIENCE));
    assert_eq!(log.dropped(), 2);
    let text = out.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        (lines.len(), lines[0].len()),
        (2, 100),
        "the torn line stays alone: {text}"
    );
    assert!(lines[1].starts_with("[2026-") && lines[1].ends_with("reviews-canary/rule-0"));
}

/// Blocks in `write` until told.
struct Stuck {
    entered: Sender<()>,
    go: Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.go.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_output_drops_lines_and_bounds_memory() {
    let (entered, is_in) = channel();
    let (release, go) = channel();
    let log = AccessLog::new(Box::new(Stuck { entered, go }));
    let fixture = fixture(LogFormat::istio_text());
    log.write(&fixture.outcome());
    is_in.recv().unwrap();
    for _ in 0..10_000 {
        log.write(&fixture.outcome());
    }
    assert_eq!(log.dropped(), 10_000 - 8_192, "the queue holds 8,192 lines");
    // Long lines are bounded by their bytes, not their number.
    assert!(!log.flush(Duration::from_millis(1)));
    drop(release);
    assert!(log.flush(PATIENCE));

    let (entered, is_in) = channel();
    let (release, go) = channel();
    let log = AccessLog::new(Box::new(Stuck { entered, go }));
    log.write(&fixture.outcome());
    is_in.recv().unwrap();
    let path = "/".repeat(64 * 1_024);
    for _ in 0..200 {
        log.write(&Outcome {
            path: &path,
            ..fixture.outcome()
        });
    }
    assert!((60..80).contains(&log.dropped()), "{}", log.dropped());
    drop(release);
}

#[test]
fn dropping_the_log_writes_what_is_queued() {
    let out = Memory::default();
    let log = AccessLog::new(Box::new(out.clone()));
    let fixture = fixture(LogFormat::istio_text());
    (0..3_000).for_each(|_| log.write(&fixture.outcome()));
    drop(log);
    assert_eq!(out.text().lines().count(), 3_000);
}

#[test]
fn dates_are_right_around_leap_days() {
    for (seconds, wanted) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399, "2000-02-28T23:59:59.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (951_868_800, "2000-03-01T00:00:00.000Z"),
        (1_709_164_800, "2024-02-29T00:00:00.000Z"),
        (1_798_761_599, "2026-12-31T23:59:59.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
    ] {
        let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(line::Timestamp(at).to_string(), wanted);
    }
}

fn one_line(format: LogFormat, request_headers: &[(HeaderName, HeaderValue)]) -> String {
    let out = Memory::default();
    let log = AccessLog::new(Box::new(out.clone()));
    let fixture = fixture(format);
    log.write(&Outcome {
        request_headers,
        ..fixture.outcome()
    });
    assert!(log.flush(PATIENCE));
    out.text()
}

#[test]
fn a_format_of_ones_own_says_what_it_is_asked_for() {
    let text = "%REQ(:METHOD)% %REQ(X-USER?:AUTHORITY)% %RESP(Server)% %RESPONSE_CODE%%% %DURATION%ms \
        %GRPC_STATUS% %DOWNSTREAM_LOCAL_PORT% %DOWNSTREAM_PEER_URI_SAN% %TRACE_ID% \"%REQ(USER-AGENT):4%\"";
    let (format, problems) = LogFormat::text(text);
    assert_eq!(problems, Vec::<String>::new());
    let request = [(HeaderName::from_static("x-user"), HeaderValue::from_static("an ann"))];
    let line = one_line(format, &request);
    let trace = format!("{:032x}", 0x0af7);
    let peer = "spiffe://cluster.local/ns/shop/sa/productpage";
    assert_eq!(line, format!("GET an_ann - 200% 7ms - 9080 {peer} {trace} \"curl\"\n"));
}

#[test]
fn a_pseudo_header_among_alternatives_counts_in_its_turn() {
    let (format, problems) = LogFormat::text("%REQ(X-A?:AUTHORITY)%");
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(one_line(format, &[]), "reviews:9080\n");
}

#[test]
fn json_of_ones_own_keeps_types_and_may_omit_what_is_missing() {
    let labels = BTreeMap::from([
        ("code".to_owned(), "%RESPONSE_CODE%".to_owned()),
        ("sni".to_owned(), "%REQUESTED_SERVER_NAME%".to_owned()),
        (
            "text".to_owned(),
            "%REQ(:METHOD)% took %DURATION% for %GRPC_STATUS%".to_owned(),
        ),
        ("a\"b".to_owned(), "x".to_owned()),
    ]);
    let (format, problems) = LogFormat::json(labels);
    assert!(problems.is_empty(), "{problems:?}");
    let line = one_line(format.clone(), &[]);
    assert_eq!(
        line,
        "{\"a\\\"b\":\"x\",\"code\":200,\"sni\":null,\"text\":\"GET took 7 for -\"}\n"
    );
    let line = one_line(format.omitting_empty(true), &[]);
    assert!(!line.contains("sni"), "{line}");
}

#[test]
fn what_is_no_operator_is_told_and_the_rest_stays() {
    let (format, problems) = LogFormat::text("%RESPONSE_CODE% %DYNAMIC_METADATA(a:b)% 50% %REQ(\u{e9})% %DURATION%");
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(problems[0].contains("%DYNAMIC_METADATA(a:b)%"), "{problems:#?}");
    assert_eq!(one_line(format, &[]), "200 - 50% - 7\n");
    for hostile in [
        "%",
        "%%%",
        "%(",
        "%REQ(",
        "%REQ():%",
        "%REQ(A):99999999999999999999%",
        "%:3%",
    ] {
        let (format, _) = LogFormat::text(hostile);
        assert!(one_line(format, &[]).ends_with('\n'), "{hostile}");
    }
}

#[test]
fn a_filter_decides_which_requests_are_logged() {
    let out = Memory::default();
    let log = AccessLog::new(Box::new(out.clone()));
    let rule = |format: &str, filter: &str| LogRule {
        format: Arc::new(LogFormat::text(format).0),
        filter: Some(Arc::new(Expression::parse(filter).unwrap())),
    };
    let rules = vec![
        rule("A %RESPONSE_CODE%", "response.code >= 400"),
        rule("B", "connection.mtls"),
    ];
    let plan = Plan::new(TracingPlan::default(), Arc::new(MetricsPlan::default()), rules);
    let fixture = Fixture {
        plan: Arc::new(plan),
        ..Fixture::default()
    };
    log.write(&fixture.outcome());
    log.write(&Outcome {
        status: 404,
        mtls: false,
        ..fixture.outcome()
    });
    assert!(log.flush(PATIENCE));
    assert_eq!(out.text(), "B\nA 404\n");
}

#[test]
#[cfg(target_os = "linux")]
fn dev_full_is_a_full_disk() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let log = AccessLog::new(Box::new(full));
    let fixture = fixture(LogFormat::istio_json());
    for _ in 0..100 {
        log.write(&fixture.outcome());
    }
    assert!(log.flush(PATIENCE));
    assert_eq!(log.dropped(), 100);
}
