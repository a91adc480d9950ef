#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use Outcome::{Answered, NotConnected, Reset, TimedOut};

fn all() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: 3,
        consecutive_gateway: 2,
        consecutive_local: 2,
        ..OutlierDetection::default()
    }
}

/// Which of these outcomes, in order, would eject.
fn ejecting(outliers: &OutlierDetection, outcomes: &[Outcome]) -> Vec<bool> {
    let health = Health::default();
    outcomes.iter().map(|one| health.count(outliers, *one)).collect()
}

#[test]
fn only_errors_in_a_row_count() {
    let (f, t) = (false, true);
    let (ok, bad, gateway) = (Answered(200), Answered(500), Answered(503));
    assert_eq!(ejecting(&all(), &[bad, bad, ok, bad, bad, bad]), [f, f, f, f, f, t]);
    assert_eq!(
        ejecting(&all(), &[gateway, Answered(404), gateway, gateway]),
        [f, f, f, t]
    );
    assert_eq!(
        ejecting(&all(), &[bad, gateway, bad]),
        [f, f, t],
        "a gateway error is a 5xx too"
    );
    assert_eq!(
        ejecting(&all(), &[gateway, bad, gateway]),
        [f, f, t],
        "by 5xx: the gateway errors are not in a row"
    );
    let never = OutlierDetection {
        consecutive_5xx: 0,
        consecutive_gateway: 0,
        ..all()
    };
    assert!(ejecting(&never, &[gateway; 20]).iter().all(|one| !one));
}

#[test]
fn what_is_our_own_doing_counts_apart_only_when_that_is_asked_for() {
    let (f, t) = (false, true);
    assert_eq!(ejecting(&all(), &[NotConnected, TimedOut]), [f, t], "as gateway errors");
    assert_eq!(ejecting(&all(), &[Reset, Answered(500), TimedOut]), [f, f, t], "as 5xx");
    let split = OutlierDetection {
        split_local: true,
        ..all()
    };
    assert_eq!(ejecting(&split, &[Answered(503), NotConnected]), [f, f]);
    assert_eq!(ejecting(&split, &[Reset, TimedOut]), [f, t]);
    assert_eq!(
        ejecting(&split, &[Reset, Answered(500), Reset]),
        [f, f, f],
        "an answer is a connection that was made"
    );
}

#[test]
fn ejections_grow_and_are_forgotten() {
    let outliers = all();
    let health = Health::default();
    let mut now = 1_000_000;
    for times in 1..=3_u64 {
        let until = health.eject(&outliers, now);
        assert_eq!(until - now, times * 30_000);
        assert!(health.is_ejected(now) && health.is_ejected(until - 1) && !health.is_ejected(until));
        now = until;
    }
    // Two intervals of ten seconds without a fault: two of three are forgotten.
    now += 20_000;
    assert_eq!(health.eject(&outliers, now) - now, 60_000);
    for _ in 0..20 {
        now = health.eject(&outliers, now);
    }
    assert_eq!(health.eject(&outliers, now) - now, 300_000, "no ejection is longer");
    let long = OutlierDetection {
        base_ejection: Duration::from_secs(3600),
        ..outliers
    };
    assert_eq!(health.eject(&long, now) - now, 3_600_000, "but for a base time that is");
}

#[test]
fn numbers_without_sense_do_no_harm() {
    let outliers = OutlierDetection {
        base_ejection: Duration::MAX,
        interval: Duration::ZERO,
        max_ejection_percent: u32::MAX,
        min_health_percent: u32::MAX,
        ..all()
    };
    let health = Health::default();
    for now in [0, u64::MAX, 5] {
        assert!(health.eject(&outliers, now) >= now);
    }
    assert!(outliers.admits(usize::MAX, usize::MAX));
}
