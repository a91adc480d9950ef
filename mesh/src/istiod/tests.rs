#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::proto::*;
use super::*;
use crate::{Compiler, Scope, Snapshot};
use request::Authority;
use routing::Target;
use serde_json::json;
use std::net::IpAddr;

/// A Service `echo` of namespace demo, whose waypoint is ours.
pub(super) fn service() -> Service {
    Service {
        name: "echo".into(),
        namespace: "demo".into(),
        hostname: "echo.demo.svc.cluster.local".into(),
        addresses: vec![NetworkAddress {
            address: vec![10, 96, 0, 1],
            ..NetworkAddress::default()
        }],
        ports: vec![Port {
            service_port: 80,
            target_port: 9080,
            app_protocol: 1,
        }],
        waypoint: Some(GatewayAddress {
            destination: Some(GatewayPlace::Host(NamespacedHostname {
                namespace: "demo".into(),
                hostname: "waypoint.demo.svc.cluster.local".into(),
            })),
            hbone_mtls_port: 15008,
        }),
        ..Service::default()
    }
}

/// One of its pods, in the mesh.
pub(super) fn workload(number: u8) -> Workload {
    let ports = PortList { ports: service().ports };
    Workload {
        uid: format!("Kubernetes//Pod/demo/echo-{number}"),
        name: format!("echo-{number}"),
        namespace: "demo".into(),
        addresses: vec![vec![10, 0, 0, number]],
        tunnel_protocol: 1,
        service_account: "echo".into(),
        workload_name: "echo".into(),
        canonical_name: "echo".into(),
        canonical_revision: "v1".into(),
        services: [("demo/echo.demo.svc.cluster.local".to_owned(), ports)].into(),
        ..Workload::default()
    }
}

pub(super) fn named(told: Told) -> Resource {
    let name = match &told {
        Told::Workload(workload) => workload.uid.clone(),
        Told::Service(service) => format!("{}/{}", service.namespace, service.hostname),
    };
    let value = Address { told: Some(told) }.encode_to_vec();
    Resource {
        version: "1".into(),
        resource: Some(Any {
            type_url: ADDRESS.into(),
            value,
        }),
        name,
    }
}

pub(super) fn answer(resources: Vec<Resource>) -> DeltaResponse {
    DeltaResponse {
        resources,
        type_url: ADDRESS.into(),
        nonce: "n".into(),
        removed_resources: Vec::new(),
    }
}

fn discovery() -> Arc<Discovery> {
    Discovery::new(DiscoveryConfig {
        address: "istiod:15012".into(),
        ..DiscoveryConfig::default()
    })
}

fn take(discovery: &Discovery, answer: &DeltaResponse) -> DeltaRequest {
    let said = discovery.take(&answer.encode_to_vec()).unwrap();
    let message = DeltaRequest::decode(&said.message[..]).unwrap();
    assert_eq!(message.error_detail.is_some(), !said.refused.is_empty());
    assert_eq!((message.response_nonce.as_str(), message.node.is_none()), ("n", true));
    message
}

fn gateway() -> serde_json::Value {
    json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": { "name": "waypoint", "namespace": "demo" },
        "spec": { "gatewayClassName": "istio-waypoint",
            "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }] } })
}

/// What is in force of it beside these objects.
fn compile(compiler: &mut Compiler, discovery: &Discovery, more: &[serde_json::Value]) -> (Arc<Snapshot>, Vec<String>) {
    let mut resources = Resources::from_json([gateway()].into_iter().chain(more.iter().cloned()));
    discovery.merge(&mut resources);
    let (snapshot, findings) = compiler.compile(&resources);
    (snapshot, findings.iter().map(ToString::to_string).collect())
}

fn endpoints(snapshot: &Snapshot, authority: &str) -> Vec<Arc<routing::Endpoint>> {
    let target = snapshot.target(&Authority::parse(authority).unwrap()).unwrap();
    let Target::Cluster(id) = target.cluster else { panic!() };
    snapshot.cluster(id).unwrap().endpoints.clone()
}

#[test]
fn a_service_and_its_workloads_are_served() {
    let discovery = discovery();
    let unhealthy = Workload {
        status: 1,
        ..workload(2)
    };
    let told = [
        Told::Service(service()),
        Told::Workload(workload(1)),
        Told::Workload(unhealthy),
    ];
    let reply = take(&discovery, &answer(told.map(named).to_vec()));
    assert_eq!(reply.error_detail, None);
    let (snapshot, findings) = compile(&mut Compiler::new(Scope::default()), &discovery, &[]);
    assert!(findings.is_empty(), "{findings:?}");
    for authority in ["10.96.0.1:80", "echo.demo.svc.cluster.local:80"] {
        let endpoints = endpoints(&snapshot, authority);
        let [endpoint] = &endpoints[..] else {
            panic!("{endpoints:?}")
        };
        assert_eq!(endpoint.address.to_string(), "10.0.0.1:9080");
        let identity = endpoint.workload.identity.as_ref().unwrap();
        assert_eq!(identity.as_str(), "spiffe://cluster.local/ns/demo/sa/echo");
    }
    let known = snapshot.workload(IpAddr::from([10, 0, 0, 2])).unwrap();
    assert_eq!((known.name.as_str(), known.kind.as_str()), ("echo", "deployment"));
}

#[test]
fn objects_of_the_config_that_istiod_tells_are_not_used_and_that_is_told() {
    let discovery = discovery();
    take(&discovery, &answer(vec![named(Told::Service(service()))]));
    let other = json!({ "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "other", "namespace": "demo", "labels": { "istio.io/use-waypoint": "waypoint" } },
        "spec": { "clusterIP": "10.96.0.2", "ports": [{ "port": 80 }] } });
    let (snapshot, findings) = compile(&mut Compiler::new(Scope::default()), &discovery, &[other]);
    assert!(snapshot.target(&Authority::parse("10.96.0.2:80").unwrap()).is_none());
    assert!(findings[0].contains("1 objects of kind Service"), "{findings:?}");
}

#[test]
fn a_change_of_one_workload_keeps_the_clusters_of_other_services() {
    let discovery = discovery();
    let other = Service {
        name: "other".into(),
        hostname: "other.demo.svc.cluster.local".into(),
        addresses: vec![NetworkAddress {
            address: vec![10, 96, 0, 2],
            ..NetworkAddress::default()
        }],
        ..service()
    };
    let told = [
        Told::Service(service()),
        Told::Service(other),
        Told::Workload(workload(1)),
        Told::Workload(workload(2)),
    ];
    take(&discovery, &answer(told.map(named).to_vec()));
    let mut compiler = Compiler::new(Scope::default());
    let objects = Resources::from_json([gateway()]);
    let mut compile = || {
        let mut resources = Resources::default();
        resources.objects.extend(objects.objects.iter().cloned());
        discovery.merge(&mut resources);
        compiler.compile(&resources).0
    };
    let before = compile();
    let changed = Workload {
        canonical_revision: "v2".into(),
        ..workload(2)
    };
    take(&discovery, &answer(vec![named(Told::Workload(changed))]));
    let after = compile();
    let cluster = |snapshot: &Snapshot, authority: &str| {
        let target = snapshot.target(&Authority::parse(authority).unwrap()).unwrap();
        Arc::clone(snapshot.endpoints_of(&target.cluster).unwrap())
    };
    let same = |authority: &str| Arc::ptr_eq(&cluster(&before, authority), &cluster(&after, authority));
    assert!(same("10.96.0.2:80") && !same("10.96.0.1:80"));
    let endpoint = |snapshot: &Snapshot| endpoints(snapshot, "10.96.0.1:80")[0].clone();
    assert!(Arc::ptr_eq(&endpoint(&before), &endpoint(&after)));
}

#[test]
fn what_is_refused_keeps_its_last_good_state_and_its_version() {
    let discovery = discovery();
    let waiting = discovery.waiting().unwrap().to_string();
    assert!(
        waiting.contains("istiod:15012") && waiting.contains("not heard of yet"),
        "{waiting}"
    );
    let told = [Told::Service(service()), Told::Workload(workload(1))];
    take(&discovery, &answer(told.map(named).to_vec()));
    assert!(discovery.waiting().is_none());
    let bad = Workload {
        tunnel_protocol: 7,
        ..workload(1)
    };
    let bad = Resource {
        version: "2".into(),
        ..named(Told::Workload(bad))
    };
    let reply = take(&discovery, &answer(vec![bad]));
    let detail = reply.error_detail.unwrap();
    assert_eq!(detail.code, 3);
    assert!(detail.message.contains("tunnel_protocol"), "{}", detail.message);
    let (snapshot, findings) = compile(&mut Compiler::new(Scope::default()), &discovery, &[]);
    assert_eq!(endpoints(&snapshot, "10.96.0.1:80").len(), 1);
    assert!(
        findings[0].contains("Address Kubernetes//Pod/demo/echo-1"),
        "{findings:?}"
    );
    let hello = DeltaRequest::decode(&discovery.hello()[..]).unwrap();
    let versions = hello.initial_resource_versions;
    assert_eq!(versions["Kubernetes//Pod/demo/echo-1"], "1");
    assert_eq!(versions.len(), 2);
}

#[test]
fn other_types_are_refused_and_what_is_no_answer_ends_the_call() {
    let discovery = discovery();
    let other = DeltaResponse {
        type_url: "type.googleapis.com/istio.security.Authorization".into(),
        ..answer(vec![named(Told::Service(service()))])
    };
    assert!(take(&discovery, &other).error_detail.is_some());
    assert!(discovery.waiting().is_some());
    assert!(discovery.take(&[0xff; 8]).is_err());
    let of_other_type = Resource {
        resource: Some(Any {
            type_url: "x".into(),
            value: Vec::new(),
        }),
        ..named(Told::Service(service()))
    };
    assert!(take(&discovery, &answer(vec![of_other_type])).error_detail.is_some());
}

#[test]
fn a_detail_is_short() {
    let discovery = discovery();
    let many: Vec<Resource> = (0..1000)
        .map(|number| Resource {
            name: format!("{number}é"),
            ..Resource::default()
        })
        .collect();
    let detail = take(&discovery, &answer(many)).error_detail.unwrap();
    assert!(detail.message.len() <= MAX_DETAIL_BYTES && detail.message.len() > 4000);
}

#[test]
fn removed_addresses_are_gone_and_the_same_again_is_no_change() {
    let discovery = discovery();
    let told = [Told::Service(service()), Told::Workload(workload(1))];
    let whole = answer(told.map(named).to_vec());
    take(&discovery, &whole);
    let mut news = News::of(Some(&discovery));
    take(&discovery, &whole);
    assert!(!news.take());
    let gone = DeltaResponse {
        removed_resources: vec!["Kubernetes//Pod/demo/echo-1".into(), "never/was".into()],
        ..answer(Vec::new())
    };
    take(&discovery, &gone);
    assert!(news.take());
    assert_eq!(discovery.count(), 1);
}

#[test]
fn hosts_of_service_entries_are_served_as_the_entry_has_them() {
    let discovery = discovery();
    let entry = Service {
        name: "api".into(),
        hostname: "api.example.com".into(),
        ..service()
    };
    let key = "demo/api.example.com".to_owned();
    let server = Workload {
        services: [(key, PortList { ports: service().ports })].into(),
        ..workload(1)
    };
    take(
        &discovery,
        &answer([Told::Service(entry), Told::Workload(server)].map(named).to_vec()),
    );
    let (_, findings) = compile(&mut Compiler::new(Scope::default()), &discovery, &[]);
    assert!(
        findings.iter().any(|finding| finding.contains("api.example.com")),
        "{findings:?}"
    );
    let object = json!({ "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": { "name": "api", "namespace": "demo", "labels": { "istio.io/use-waypoint": "waypoint" } },
        "spec": { "hosts": ["api.example.com"], "addresses": ["10.96.0.9"], "resolution": "STATIC",
            "ports": [{ "number": 80, "name": "http", "protocol": "HTTP", "targetPort": 9080 }],
            "workloadSelector": { "labels": { "app": "echo" } } } });
    let (snapshot, findings) = compile(&mut Compiler::new(Scope::default()), &discovery, &[object]);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(
        endpoints(&snapshot, "10.96.0.9:80")[0].address.to_string(),
        "10.0.0.1:9080"
    );
}

#[test]
fn what_is_on_another_network_is_behind_its_gateway() {
    let discovery = discovery();
    let place = GatewayAddress {
        destination: Some(GatewayPlace::Address(NetworkAddress {
            network: "far".into(),
            address: vec![192, 0, 2, 1],
            length: None,
        })),
        hbone_mtls_port: 15443,
    };
    let far = |number: u8, account: &str| Workload {
        addresses: Vec::new(),
        network: "far".into(),
        network_gateway: Some(place.clone()),
        service_account: account.into(),
        tunnel_protocol: 0,
        capacity: Some(Number { value: 3 }),
        ..workload(number)
    };
    let gateway = |account: &str| Workload {
        uid: "NetworkGateway/far".into(),
        namespace: "istio-system".into(),
        addresses: vec![vec![192, 0, 2, 1]],
        network: "far".into(),
        service_account: account.into(),
        services: std::collections::HashMap::new(),
        ..workload(9)
    };
    let told = [
        Told::Service(service()),
        Told::Workload(workload(1)),
        Told::Workload(far(2, "one")),
        Told::Workload(far(3, "two")),
    ];
    take(&discovery, &answer(told.map(named).to_vec()));
    let mut compiler = Compiler::new(Scope::default());
    let (snapshot, findings) = compile(&mut compiler, &discovery, &[]);
    assert!(findings[0].contains("1 gateways of other networks"), "{findings:?}");
    assert_eq!(endpoints(&snapshot, "10.96.0.1:80").len(), 1);
    for account in ["eastwest", "other"] {
        take(&discovery, &answer(vec![named(Told::Workload(gateway(account)))]));
        let (snapshot, findings) = compile(&mut compiler, &discovery, &[]);
        assert!(findings.is_empty(), "{findings:?}");
        let endpoints = endpoints(&snapshot, "10.96.0.1:80");
        let [near, far] = &endpoints[..] else {
            panic!("{endpoints:?}")
        };
        assert!(near.gateway.is_none() && near.weight == 1);
        assert_eq!((far.address.to_string().as_str(), far.weight), ("192.0.2.1:15443", 6));
        let way = far.gateway.as_ref().unwrap();
        assert_eq!(&*way.authority, "echo.demo.svc.cluster.local:80");
        assert_eq!(
            way.identity.as_str(),
            format!("spiffe://cluster.local/ns/istio-system/sa/{account}")
        );
        let beyond: Vec<_> = way.beyond.iter().map(|id| id.as_str()).collect();
        assert_eq!(
            beyond,
            [
                "spiffe://cluster.local/ns/demo/sa/one",
                "spiffe://cluster.local/ns/demo/sa/two"
            ]
        );
        assert!(snapshot.is_gateway(far.address, &way.identity));
        assert!(snapshot.workload(far.address.ip()).is_none());
    }
    let named_by_service = Service {
        subject_alt_names: vec!["spiffe://x/ns/a/sa/b".into(), "nonsense".into()],
        ..service()
    };
    take(&discovery, &answer(vec![named(Told::Service(named_by_service))]));
    let (snapshot, findings) = compile(&mut compiler, &discovery, &[]);
    assert!(findings[0].contains("subject_alt_names"), "{findings:?}");
    let far = endpoints(&snapshot, "10.96.0.1:80").pop().unwrap();
    assert_eq!(far.gateway.as_ref().unwrap().beyond[0].as_str(), "spiffe://x/ns/a/sa/b");
}

proptest::proptest! {
    /// Whatever istiod's bytes become on their way: an answer is taken, refused or no answer, and what is in force compiles.
    #[test]
    fn whatever_the_bytes_nothing_breaks(
        edits in proptest::collection::vec((proptest::prelude::any::<usize>(), proptest::prelude::any::<u8>()), 1..6),
        end in proptest::prelude::any::<usize>(),
    ) {
        let discovery = discovery();
        let told = [Told::Service(service()), Told::Workload(workload(1)), Told::Workload(workload(2))];
        let mut bytes = answer(told.map(named).to_vec()).encode_to_vec();
        for (at, byte) in edits {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        if end.is_multiple_of(4) {
            bytes.truncate(end % bytes.len());
        }
        let taken = discovery.take(&bytes);
        proptest::prop_assert!(taken.is_err() || DeltaRequest::decode(&taken.unwrap().message[..]).is_ok());
        proptest::prop_assert!(DeltaRequest::decode(&discovery.hello()[..]).is_ok());
        compile(&mut Compiler::new(Scope::default()), &discovery, &[]);
    }
}
