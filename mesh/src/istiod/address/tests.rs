#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::tests::{service, workload};
use super::*;

fn read(told: Told, network: &str) -> Result<Parsed, String> {
    let bytes = proto::Address { told: Some(told) }.encode_to_vec();
    parse(&bytes, network, &|_| None)
}

fn object(told: Told) -> Object {
    match read(told, "").unwrap() {
        Parsed::Object(object) => Arc::into_inner(object).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn spec(told: proto::Service) -> (Service, Vec<Problem>) {
    let object = object(Told::Service(told));
    let Body::Service(service) = object.body else { panic!() };
    (*service, object.problems.into())
}

fn discovered(told: proto::Workload) -> Discovered {
    let Body::Workload(discovered) = object(Told::Workload(told)).body else {
        panic!()
    };
    *discovered
}

#[test]
fn waypoints_become_labels_and_nothing_is_left_to_the_namespace() {
    let labels = |told| object(Told::Service(told)).meta.labels;
    let bound = labels(service());
    assert_eq!(bound["istio.io/use-waypoint"], "waypoint");
    assert_eq!(bound["istio.io/use-waypoint-namespace"], "demo");
    assert_eq!(bound["istio.io/use-waypoint-canary"], "none");
    let none = labels(proto::Service {
        waypoint: None,
        ..service()
    });
    assert_eq!(none["istio.io/use-waypoint"], "none");
    let other = proto::GatewayAddress {
        destination: Some(GatewayPlace::Host(proto::NamespacedHostname {
            namespace: "ops".into(),
            hostname: "next.ops.svc.cluster.local".into(),
        })),
        hbone_mtls_port: 15008,
    };
    let weighted = [service().waypoint.unwrap(), other].map(|gateway| proto::WeightedWaypoint {
        destination: Some(gateway),
    });
    let canary = labels(proto::Service {
        weighted_waypoints: weighted.to_vec(),
        ..service()
    });
    assert_eq!(canary["istio.io/use-waypoint"], "waypoint");
    assert_eq!(canary["istio.io/use-waypoint-canary"], "next");
    assert_eq!(canary["istio.io/use-waypoint-canary-namespace"], "ops");
}

#[test]
fn addresses_of_other_networks_are_not_ours() {
    let address = |network: &str, last: u8| proto::NetworkAddress {
        network: network.into(),
        address: vec![10, 96, 0, last],
        length: None,
    };
    let (told, _) = spec(proto::Service {
        addresses: vec![
            address("", 1),
            address("far", 2),
            proto::NetworkAddress {
                length: Some(24),
                ..address("", 3)
            },
        ],
        ..service()
    });
    assert_eq!(told.vips, [IpAddr::from([10, 96, 0, 1])]);
    let far = discovered(proto::Workload {
        network: "far".into(),
        ..workload(1)
    });
    assert!(far.elsewhere.is_some() && !far.is_addressed && far.ip().is_none());
    let on_node = discovered(proto::Workload {
        network_mode: 1,
        ..workload(1)
    });
    assert!(!on_node.is_addressed && on_node.ip().is_some());
}

#[test]
fn preferences_are_those_of_kubernetes() {
    let balanced = |mode, scopes: &[i32], health_policy| {
        spec(proto::Service {
            load_balancing: Some(LoadBalancing {
                routing_preference: scopes.to_vec(),
                mode,
                health_policy,
            }),
            ..service()
        })
    };
    let (same_zone, _) = balanced(2, &[6, 1, 2], 0);
    assert_eq!(same_zone.distribution, Distribution::SameZone);
    let (same_node, _) = balanced(2, &[6, 1, 2, 3, 4], 1);
    assert_eq!(same_node.distribution, Distribution::SameNode);
    assert!(same_node.takes_unready);
    let (local, problems) = balanced(1, &[4], 0);
    assert!(local.is_node_local && problems.is_empty());
    let (cluster, problems) = balanced(1, &[5], 0);
    assert!(!cluster.is_node_local && problems[0].field == "load_balancing");
}

#[test]
fn what_is_left_out_has_istios_defaults() {
    let told = discovered(proto::Workload {
        service_account: String::new(),
        canonical_revision: String::new(),
        tunnel_protocol: 0,
        ..workload(1)
    });
    assert_eq!(told.identity.as_str(), "spiffe://cluster.local/ns/demo/sa/default");
    assert_eq!(told.workload.canonical_revision, "latest");
    assert!(told.workload.identity.is_none() && !told.workload.hbone && told.is_healthy && told.weight == 1);
    let (told, _) = spec(proto::Service {
        ports: vec![proto::Port {
            service_port: 80,
            target_port: 0,
            app_protocol: 9,
        }],
        ..service()
    });
    assert_eq!(told.ports[0].target, TargetPort::Name(String::new()));
    assert_eq!(told.ports[0].protocol, Protocol::Detect);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let port = |service_port, target_port| proto::Port {
        service_port,
        target_port,
        app_protocol: 0,
    };
    let services: [(&str, proto::Service); 5] = [
        (
            "namespace",
            proto::Service {
                namespace: "a b".into(),
                ..service()
            },
        ),
        (
            "name",
            proto::Service {
                name: String::new(),
                ..service()
            },
        ),
        (
            "hostname",
            proto::Service {
                hostname: "x/y".into(),
                ..service()
            },
        ),
        (
            "ports.service_port",
            proto::Service {
                ports: vec![port(0, 80)],
                ..service()
            },
        ),
        (
            "ports: expected at most",
            proto::Service {
                ports: vec![port(80, 80); 2000],
                ..service()
            },
        ),
    ];
    for (why, told) in services {
        let error = read(Told::Service(told), "").unwrap_err();
        assert!(error.starts_with(why), "{error}");
    }
    let workloads: [(&str, proto::Workload); 6] = [
        (
            "addresses",
            proto::Workload {
                addresses: vec![vec![1; 5]],
                ..workload(1)
            },
        ),
        (
            "trust_domain",
            proto::Workload {
                trust_domain: "a/b".into(),
                ..workload(1)
            },
        ),
        (
            "service_account",
            proto::Workload {
                service_account: "a/b".into(),
                ..workload(1)
            },
        ),
        (
            "tunnel_protocol",
            proto::Workload {
                tunnel_protocol: -1,
                ..workload(1)
            },
        ),
        (
            "node",
            proto::Workload {
                node: "a\nb".into(),
                ..workload(1)
            },
        ),
        (
            "services",
            proto::Workload {
                services: [("x".to_owned(), proto::PortList::default())].into(),
                ..workload(1)
            },
        ),
    ];
    for (why, told) in workloads {
        let error = read(Told::Workload(told), "").unwrap_err();
        assert!(error.starts_with(why), "{error}");
    }
    assert!(parse(&[], "", &|_| None).unwrap_err().contains("found neither"));
}

#[test]
fn hosts_that_are_no_kubernetes_service_are_entries() {
    for hostname in [
        "api.example.com",
        "*.example.com",
        "echo.other.svc.cluster.local",
        "echo.demo.svcx.y",
    ] {
        let told = proto::Service {
            hostname: hostname.into(),
            ..service()
        };
        assert!(matches!(read(Told::Service(told), ""), Ok(Parsed::Entry(host)) if *host == *hostname));
    }
}
