//! Lines as people read them, and filters on their way.

#![allow(clippy::unwrap_used)]

use super::{encoded, readable};
use crate::explain::Paint;

#[test]
fn a_request_is_a_line() {
    let line = r#"{"atMs":1769860800123,"durationMs":1.25,"source":"demo/curl","service":"reviews.demo.svc.cluster.local",
        "port":9080,"method":"GET","path":"/x","hasQuery":true,"status":200,"grpcStatus":null,"flags":"-",
        "details":"via_upstream","route":"demo/reviews/rule-0","backend":"v1:9080","upstream":"10.1.0.2:9080"}"#;
    assert_eq!(
        readable(line, Paint(false)),
        "12:00:00.123  200         1.25 ms  demo/curl -> reviews.demo.svc.cluster.local:9080  GET /x?..  v1:9080  \
         10.1.0.2:9080  via demo/reviews/rule-0"
    );
}

#[test]
fn a_refusal_says_why() {
    let line = r#"{"atMs":0,"durationMs":0.1,"source":"demo/curl","service":"r","port":80,"method":"GET","path":"/admin",
        "status":403,"flags":"-","details":"rbac_access_denied_matched_policy[none]","route":null,"backend":null}"#;
    assert_eq!(
        readable(line, Paint(false)),
        "00:00:00.000  403         0.10 ms  demo/curl -> r:80  GET /admin  - rbac_access_denied_matched_policy[none]"
    );
    assert_eq!(
        readable("{\"dropped\":3}", Paint(false)),
        "3 more came faster than they could be read"
    );
}

#[test]
fn values_are_encoded() {
    assert_eq!(encoded("/a b&c=5xx"), "/a%20b%26c%3D5xx");
}
