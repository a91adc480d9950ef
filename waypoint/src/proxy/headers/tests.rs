#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

#[test]
fn what_a_client_may_never_set_is_removed() {
    let mut map = headers(&[
        ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/prod/sa/admin"),
        ("x-envoy-original-dst-host", "127.0.0.1:15000"),
        ("x-envoy-max-retries", "1000"),
        ("x-environment", "stays"),
    ]);
    strip_untrusted(&mut map);
    assert_eq!(map, headers(&[("x-environment", "stays")]));
}

#[test]
fn the_right_most_forwarded_address_counts() {
    let peer = "10.0.0.1".parse().unwrap();
    let seen = |pairs| remote_ip(&headers(pairs), peer, 0);
    assert_eq!(seen(&[]), peer);
    assert_eq!(
        seen(&[("x-forwarded-for", "1.2.3.4, 5.6.7.8")]),
        "5.6.7.8".parse::<IpAddr>().unwrap()
    );
    assert_eq!(
        seen(&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "::1")]),
        "::1".parse::<IpAddr>().unwrap()
    );
    assert_eq!(seen(&[("x-forwarded-for", "nonsense")]), peer);
}

#[test]
fn trusted_proxies_are_left_out_from_the_right() {
    let peer = "10.0.0.1".parse().unwrap();
    let map = headers(&[
        ("x-forwarded-for", "1.1.1.1, nonsense"),
        ("x-forwarded-for", "3.3.3.3,4.4.4.4"),
    ]);
    let seen: Vec<String> = (0..6)
        .map(|proxies| remote_ip(&map, peer, proxies).to_string())
        .collect();
    // What is no address, and what is not there, is the peer's.
    assert_eq!(
        seen,
        ["4.4.4.4", "3.3.3.3", "10.0.0.1", "1.1.1.1", "10.0.0.1", "10.0.0.1"]
    );
}

#[test]
fn the_client_is_told_of_as_the_gateway_wants() {
    let own = HeaderValue::from_static("By=us;URI=them");
    for (rule, expected) in [
        (ClientCert::Remove, vec![]),
        (ClientCert::Forward, vec!["URI=old"]),
        (ClientCert::Append, vec!["URI=old", "By=us;URI=them"]),
        (ClientCert::Set, vec!["By=us;URI=them"]),
    ] {
        let mut map = headers(&[("x-forwarded-client-cert", "URI=old")]);
        let sent = sent_client_cert(&map, rule);
        strip_untrusted(&mut map);
        tell_client(&mut map, sent, rule, || Some(&own));
        let told: Vec<_> = map.get_all(FORWARDED_CLIENT_CERT).iter().collect();
        assert_eq!(told, expected, "{rule:?}");
    }
}

#[test]
fn a_request_id_is_a_version_4_uuid() {
    let id = request_id();
    let text = id.to_str().unwrap();
    assert_eq!(text.len(), 36);
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert_eq!(text.as_bytes()[14], b'4');
    assert!(b"89ab".contains(&text.as_bytes()[19]));
    assert_ne!(id, request_id());
}

#[test]
fn a_trace_state_without_its_trace_is_dropped() {
    let mut map = headers(&[
        ("traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=b"),
    ]);
    finish_request(&mut map, None, false);
    assert!(
        !map.contains_key("traceparent") && !map.contains_key("tracestate"),
        "{map:?}"
    );
}

#[test]
fn the_clients_address_ends_one_list() {
    let mut map = headers(&[
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2, 192.0.2.3"),
    ]);
    let both = Topology {
        tell_forwarded_for: true,
        tell_forwarded: true,
        ..Topology::default()
    };
    tell_address(&mut map, both, "2001:db8::1".parse().unwrap(), "shop:8080");
    let expected = [
        ("x-forwarded-for", "192.0.2.1, 192.0.2.2, 192.0.2.3, 2001:db8::1"),
        ("forwarded", "for=\"[2001:db8::1]\";host=\"shop:8080\";proto=http"),
    ];
    assert_eq!(map, headers(&expected));
    tell_address(&mut map, Topology::default(), "192.0.2.9".parse().unwrap(), "shop");
    assert_eq!(map, headers(&expected));
}
