#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn an_address_needs_a_port_and_may_have_a_path() {
    let read = |text| address(text).map(|uri| uri.to_string());
    let usual = Ok("http://waypoint.demo:15020/stats/prometheus".to_owned());
    assert_eq!(read("waypoint.demo:15020"), usual);
    assert_eq!(read("http://waypoint.demo:15020/"), usual);
    assert_eq!(read("http://[::1]:9/metrics"), Ok("http://[::1]:9/metrics".to_owned()));
    for bad in ["waypoint.demo", "https://waypoint.demo:15020/", "", "http://"] {
        assert!(address(bad).is_err(), "{bad}");
    }
}

#[test]
fn both_are_read_by_their_exact_names() {
    let text = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n\
                process_resident_memory_bytes_max 1\nprocess_resident_memory_bytes 20971520 1700000000\n";
    let wanted = Reading {
        cpu: Some(Duration::from_millis(1500)),
        resident_mib: Some(20.0),
    };
    assert_eq!(reading(text), wanted);
}

#[test]
fn envoy_tells_its_memory_by_another_name() {
    let text = "envoy_server_memory_physical_size{} 1048576\nistio_agent_process_resident_memory_bytes 7\n";
    assert_eq!(reading(text).resident_mib, Some(1.0));
    assert_eq!(reading("nothing 1\n"), Reading::default());
}
