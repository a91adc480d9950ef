#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

#[test]
fn a_fault_is_answered_as_its_rule_says() {
    let refusal = |status, grpc| {
        let refusal = Reason::Fault { status, grpc }.refusal();
        (refusal.status.as_u16(), refusal.grpc, refusal.flag)
    };
    assert_eq!(refusal(503, None), (503, 14, "FI"));
    assert_eq!(refusal(418, None), (418, 2, "FI"));
    assert_eq!(refusal(200, Some(8)), (200, 8, "FI"));
}

#[test]
fn a_delay_stands_where_envoy_puts_it() {
    for (flag, with) in [
        ("-", "DI"),
        ("FI", "DI,FI"),
        ("UH", "UH,DI"),
        ("DC", "DI,DC"),
        ("NC", "DI,NC"),
    ] {
        assert_eq!(with_delay(flag), with);
    }
}
