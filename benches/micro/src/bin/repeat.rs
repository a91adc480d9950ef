//! Does one thing a number of times, so that callgrind can count its instructions: `make callgrind`.

use http::HeaderMap;
use micro_benches::{Asked, Asks, Edited, Judged, NAMESPACE, RuleKind, Tokens, Told, World, first_port, tracer};
use request::{Mode, Path};
use std::hint::black_box;
use std::process::ExitCode;
use telemetry::Metrics;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let Some(times) = arguments.next().and_then(|times| times.parse().ok()) else {
        eprintln!("usage: repeat WHAT TIMES");
        return ExitCode::FAILURE;
    };
    if repeat(&what, times) {
        ExitCode::SUCCESS
    } else {
        eprintln!("{what}: expected one of the names in benches/callgrind");
        ExitCode::FAILURE
    }
}

fn repeat(what: &str, times: usize) -> bool {
    let often = |act: &mut dyn FnMut() -> bool| (0..times).all(|_| black_box(act()));
    match what {
        "find" => {
            let world = World {
                services: 1,
                routes: 1_000,
                rules: 1,
                rule: RuleKind::Rich,
            };
            let (_, _, snapshot) = world.compile();
            let table = first_port(&snapshot).routes(NAMESPACE);
            let asked = Asked::get("/api/999/0/and/more", &[("x-version", "v1")]);
            often(&mut || table.find(&asked.request()).is_some())
        }
        "policies-allow" => judge(Asks::CallerAndPath, Judged::allow, times),
        "policies-refuse" => judge(Asks::CallerAndPath, Judged::refuse, times),
        "policies-header" => judge(Asks::AddressAndHeader, Judged::allow, times),
        "token-cached" => {
            let tokens = Tokens::es256();
            often(&mut || tokens.verify())
        }
        "token-es256" => {
            let mut tokens = Tokens::es256();
            often(&mut || tokens.verify_anew())
        }
        "token-rs256" => {
            let mut tokens = Tokens::rs256();
            often(&mut || tokens.verify_anew())
        }
        "normalise" => often(&mut || Path::normalise(black_box("/api/./v1/x/../reviews/8f14e45f"), Mode::Base).is_ok()),
        "headers" => {
            let edited = Edited::new();
            often(&mut || edited.edit(&mut edited.headers()) > 0)
        }
        "metrics" => {
            let (told, spans, metrics) = (Told::new(), tracer(0.0, 1), Metrics::new("repeat"));
            let trace = spans.begin(told.plan(), &HeaderMap::new());
            let outcome = told.outcome(&trace);
            often(&mut || {
                metrics.observe(&outcome);
                true
            })
        }
        "span" => {
            let (told, spans) = (Told::new(), tracer(1.0, 1));
            often(&mut || {
                let trace = spans.begin(told.plan(), &HeaderMap::new());
                !spans.otlp(&told.outcome(&trace)).is_empty()
            })
        }
        _ => false,
    }
}

fn judge(asks: Asks, judge: fn(&Judged) -> bool, times: usize) -> bool {
    let judged = Judged::new(asks);
    (0..times).all(|_| judge(black_box(&judged)))
}
