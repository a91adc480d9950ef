#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const TEXT: &str = "\
# TYPE waypoint_config_generation gauge
waypoint_config_generation 7
waypoint_config_generation_else 9
istio_requests_total{destination_version=\"v1\",response_code=\"200\"} 90
istio_requests_total{destination_version=\"v1\",response_code=\"403\"} 3
istio_requests_total{destination_version=\"v2\",response_code=\"200\"} 10
";

#[test]
fn samples_are_summed_by_labels() {
    let scrape = Scrape { text: TEXT.to_owned() };
    assert_eq!(scrape.sum("waypoint_config_generation", &[]), 7);
    assert_eq!(scrape.sum("istio_requests_total", &[]), 103);
    assert_eq!(scrape.sum("istio_requests_total", &[("response_code", "200")]), 100);
    let v1 = [("response_code", "200"), ("destination_version", "v1")];
    assert_eq!(scrape.sum("istio_requests_total", &v1), 90);
    assert_eq!(scrape.sum("missing", &[]), 0);
}
