//! Policies as somebody wrote them.

use authz::{AuthorizationPolicySpec, Claims, Policies, PolicyId, Traffic, TrustDomains, Verdict, doubts, validate};
use http::{HeaderMap, Method};
use request::{Authority, Connection, Head, Mode, Path, Request, SpiffeId};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};

/// Whatever stands in a policy, it is checked, compiled and asked, and one that is a policy at all never opens what
/// another one closed: a DENY of everything beside it holds.
pub fn policy(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    for problem in validate(&value) {
        assert!(
            problem.field.starts_with("spec") && !problem.message.is_empty(),
            "{problem:?}"
        );
    }
    let Ok(spec) = serde_json::from_value::<AuthorizationPolicySpec>(value) else {
        return;
    };
    let traffic = Traffic {
        mode: Mode::MergeSlashes,
        ports: Some(vec![80]),
        tokens: false,
    };
    assert!(doubts(&spec, &traffic).iter().all(|problem| !problem.error));
    let closed = AuthorizationPolicySpec {
        action: Some("DENY".to_owned()),
        rules: Some(vec![Value::Object(Default::default())]),
        ..Default::default()
    };
    let trust = TrustDomains {
        own: "cluster.local".to_owned(),
        aliases: vec!["old".to_owned()],
    };
    let named = |name: &str, spec: &AuthorizationPolicySpec| {
        let (namespace, name) = ("demo".into(), name.into());
        (PolicyId { namespace, name }, spec.clone())
    };
    let (alone, _) = Policies::build(&[named("alone", &spec)], &trust);
    let (beside, _) = Policies::build(&[named("alone", &spec), named("closed", &closed)], &trust);
    with_request(|request, claims| {
        let _ = alone.decide(request, Some(claims));
        let _ = alone.decide_tcp(request.connection);
        let _ = alone.explain(request, Some(claims));
        let _ = alone.asks(request).count();
        assert_eq!(beside.decide(request, Some(claims)).verdict, Verdict::Deny);
        assert_eq!(beside.decide_tcp(request.connection).verdict, Verdict::Deny);
    });
}

fn with_request(judge: impl Fn(&Request<'_>, &Claims)) {
    let client = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let connection = Connection {
        identity: SpiffeId::of("cluster.local", "shop", "cart").ok(),
        source_ip: client,
        destination_ip: Some(client),
        destination_port: 80,
        sni: Some("shop.example".to_owned()),
    };
    let head = Head {
        authority: Authority::parse("shop:80").expect("an authority"),
        path: Path::normalise("/a/b", Mode::Base).expect("a path"),
        query: Some("x=1".into()),
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-env", http::HeaderValue::from_static("prod"));
    let payload = serde_json::json!({ "iss": "i", "sub": "s", "aud": ["a"], "a": { "b": ["c"] } });
    let claims = Claims::from_payload(payload.as_object().cloned().unwrap_or_default());
    let request = Request {
        method: &Method::GET,
        head: &head,
        headers: &headers,
        connection: &connection,
        remote_ip: client,
    };
    judge(&request, &claims);
}
