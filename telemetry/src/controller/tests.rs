#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn what_is_counted_is_shown() {
    let metrics = ControllerMetrics::default();
    metrics.leader.set(1);
    metrics.write("Deployment", "apply", "ok");
    metrics.write("Deployment", "apply", "ok");
    metrics.pass("ok");
    let text = metrics.text();
    for line in [
        "# TYPE waypoint_controller_leader gauge",
        "waypoint_controller_leader 1",
        "waypoint_controller_writes_total{kind=\"Deployment\",verb=\"apply\",result=\"ok\"} 2",
        "waypoint_controller_passes_total{result=\"ok\"} 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
}
