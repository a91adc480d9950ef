//! Steps 1 and 2: a canary at 10 %, then at 50 % while requests flow.

use crate::demo::checks::{Checks, plausible};
use crate::demo::cost::Cost;
use crate::demo::demo_mesh::DemoMesh;
use crate::demo::destination::PODS;
use crate::demo::error::DemoError;
use crate::demo::load::{CONNECTIONS, Lap, Load};
use crate::demo::manifests::{FIRST_SHARE, ROUTE_FILE};
use crate::demo::print::{bar, column, millis, say, share, step, thousands};
use crate::demo::scrape::Scraper;
use std::time::{Duration, Instant};

/// Share of v2 in per cent after the change.
const SECOND_SHARE: u32 = 50;
/// Columns of the chart for each step.
const COLUMNS: u32 = 12;
/// Blocks of a whole bar.
const BAR: u32 = 40;
/// A changed file is in force within this time.
const IN_FORCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// When an answer has come, its request is counted within this time.
const COUNTED: Duration = Duration::from_secs(2);

pub(super) async fn show(
    mesh: &DemoMesh,
    seconds: Duration,
    cost: &mut Cost,
    checks: &mut Checks,
) -> Result<(), DemoError> {
    let mut scraper = Scraper::new(mesh.waypoint.metrics);
    step(1, &format!("A canary: {FIRST_SHARE} % of the requests to v2"));
    let mut load = Load::start(mesh.port.address);
    let (before, mut chart) = traffic(&mut load, seconds, cost).await;
    results(&before, FIRST_SHARE, checks);

    step(2, &format!("Now {SECOND_SHARE} %, while the requests go on"));
    let (took, between) = shift(mesh, &mut load, &mut scraper, checks).await?;
    chart.push('│');
    let (after, columns) = traffic(&mut load, seconds, cost).await;
    chart.push_str(&columns);
    let last = load.stop().await;
    say(format!(
        "   {ROUTE_FILE} rewritten; in force after {} ms, on the open connections too",
        took.as_millis()
    ));
    results(&after, SECOND_SHARE, checks);
    say(format!("   v2 over time            {chart}"));

    let mut all = before;
    [between, after, last].into_iter().for_each(|lap| all.add(lap));
    whole(&all, checks);
    counted(&mut scraper, &all, checks).await
}

/// So many seconds of traffic, with a chart of v2's share in it.
async fn traffic(load: &mut Load, seconds: Duration, cost: &mut Cost) -> (Lap, String) {
    let mut sum = Lap::default();
    let mut chart = String::new();
    cost.begin();
    for _ in 0..COLUMNS {
        tokio::time::sleep(seconds / COLUMNS).await;
        let lap = load.lap().await;
        chart.push(column(share(lap.canary(), lap.requests())));
        sum.add(lap);
    }
    cost.end(sum.requests());
    (sum, chart)
}

fn results(lap: &Lap, wanted: u32, checks: &mut Checks) {
    say("\n        wanted   measured");
    for (pod, answers) in PODS.iter().zip(lap.answers) {
        let wanted = if pod.version == "v2" {
            wanted
        } else {
            100_u32.saturating_sub(wanted)
        };
        let measured = share(answers, lap.requests());
        say(format!(
            "   {}   {wanted:>4} %   {:>6.2} %   {}",
            pod.version,
            measured * 100.0,
            bar(measured, BAR)
        ));
    }
    let (requests, seconds) = (lap.requests(), lap.elapsed.as_millis().max(1));
    let rate = u128::from(requests).saturating_mul(1000) / seconds;
    say(format!(
        "\n   {} requests on {CONNECTIONS} connections   {}/s   p50 {}   p99 {}   {} errors",
        thousands(requests),
        thousands(u64::try_from(rate).unwrap_or(u64::MAX)),
        millis(lap.quantile(0.5)),
        millis(lap.quantile(0.99)),
        lap.errors,
    ));
    if let Some(error) = &lap.first_error {
        say(format!("   the first error: {error}"));
    }
    checks.hold(plausible(lap.canary(), requests, f64::from(wanted) / 100.0), || {
        format!(
            "v2 got {} of {requests} requests, more than 5 standard deviations off {wanted} %",
            lap.canary()
        )
    });
}

/// Changes the weights and waits until the waypoint says that a newer config is in force. Gives how long that took,
/// and the traffic meanwhile.
async fn shift(
    mesh: &DemoMesh,
    load: &mut Load,
    scraper: &mut Scraper,
    checks: &mut Checks,
) -> Result<(Duration, Lap), DemoError> {
    let generation = async |scraper: &mut Scraper| {
        Ok::<_, DemoError>(scraper.scrape().await?.sum("waypoint_config_generation", &[]))
    };
    let old = generation(scraper).await?;
    mesh.config.shift(SECOND_SHARE)?;
    let began = Instant::now();
    while generation(scraper).await? <= old {
        if began.elapsed() > IN_FORCE {
            checks.hold(false, || {
                format!("the new weights were not in force after {} s", IN_FORCE.as_secs())
            });
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let took = began.elapsed();
    Ok((took, load.lap().await))
}

/// Nothing of all the traffic may be lost.
fn whole(all: &Lap, checks: &mut Checks) {
    checks.hold(all.errors == 0, || {
        let first = all.first_error.as_deref().unwrap_or_default();
        format!(
            "{} of {} requests failed; the first: {first}",
            all.errors,
            all.requests().saturating_add(all.errors)
        )
    });
    checks.hold(all.opened == CONNECTIONS as u64, || {
        format!("the {CONNECTIONS} connections had to be opened {} times", all.opened)
    });
}

/// Istio's metrics must tell what the clients saw.
async fn counted(scraper: &mut Scraper, all: &Lap, checks: &mut Checks) -> Result<(), DemoError> {
    let began = Instant::now();
    let seen = loop {
        let scrape = scraper.scrape().await?;
        let seen = PODS.map(|pod| {
            let labels = [
                ("reporter", "waypoint"),
                ("destination_version", pod.version),
                ("response_code", "200"),
            ];
            scrape.sum("istio_requests_total", &labels)
        });
        // A request is counted a moment after its answer has left.
        if seen == all.answers || began.elapsed() > COUNTED {
            break seen;
        }
        tokio::time::sleep(LOOK).await;
    };
    let [v1, v2] = seen.map(thousands);
    say(format!(
        "   istio_requests_total    v1 {v1}, v2 {v2}: what the clients counted"
    ));
    checks.hold(seen == all.answers, || {
        format!(
            "istio_requests_total says {seen:?} for v1 and v2, the clients counted {:?}",
            all.answers
        )
    });
    Ok(())
}
