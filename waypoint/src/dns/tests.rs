#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::answer::Failure;
use super::lookup::Lookup;
use super::*;
use async_trait::async_trait;
use mesh::{Compiler, Resources, Scope};
use request::Authority;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use telemetry::OwnMetrics;
use tokio::sync::watch;

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: shop}
spec: {hosts: [a.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: rr, namespace: shop}
spec: {hosts: [rr.example.com], resolution: DNS_ROUND_ROBIN, ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: shop}
spec: {hosts: ['*.wild.example.com'], resolution: DYNAMIC_DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
";

type Found = Result<(Vec<IpAddr>, Duration), Failure>;

/// A resolver that says what it was told to say; otherwise that there is no such name.
#[derive(Default)]
struct Script {
    answers: Mutex<HashMap<String, Found>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Lookup for Script {
    async fn lookup(&self, name: &str) -> Found {
        self.asked.lock().unwrap().push(name.to_owned());
        let answer = self.answers.lock().unwrap().get(name).cloned();
        match answer {
            // No answer at all.
            Some(Err(Failure::Unknown(why))) if why == "silence" => std::future::pending().await,
            Some(answer) => answer,
            None => Err(Failure::Nothing),
        }
    }
}

impl Script {
    fn say(&self, name: &str, addresses: &[&str], ttl_seconds: u64) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.put(name, Ok((addresses, Duration::from_secs(ttl_seconds))));
    }

    fn fail(&self, name: &str, why: &str) {
        self.put(name, Err(Failure::Unknown(why.to_owned())));
    }

    fn put(&self, name: &str, found: Found) {
        self.answers.lock().unwrap().insert(name.to_owned(), found);
    }

    fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == name).count()
    }
}

struct Fixture {
    dns: Dns,
    script: Arc<Script>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    metrics: OwnMetrics,
    changes: watch::Sender<u64>,
}

impl Fixture {
    fn new() -> Self {
        let config = DnsConfig {
            server: None,
            loopback: false,
        };
        let fixture = Self {
            dns: Dns::new(config),
            script: Arc::default(),
            snapshot: Arc::default(),
            metrics: OwnMetrics::default(),
            changes: watch::Sender::default(),
        };
        fixture.publish(&mut Compiler::new(Scope::default()), MESH);
        fixture
    }

    fn publish(&self, compiler: &mut Compiler, text: &str) {
        let (snapshot, _) = compiler.compile(&Resources::from_yaml(Path::new("mesh.yaml"), text));
        self.changes.send_replace(snapshot.generation);
        self.snapshot.store(snapshot);
    }

    /// Runs the worker beside `body`.
    async fn run<T>(&self, body: impl Future<Output = T>) -> T {
        let asked = self.dns.asked.lock().unwrap().take().unwrap();
        let world = World {
            snapshot: &self.snapshot,
            changes: self.changes.subscribe(),
            metrics: &self.metrics,
            loopback: false,
        };
        tokio::select! {
            () = Worker::new(&self.dns, world, Arc::clone(&self.script)).run(asked) => panic!("the worker ended"),
            done = body => done,
        }
    }

    /// The addresses for a request to `host`, by the ServiceEntry that has it.
    async fn addresses(&self, host: &str) -> Result<Vec<String>, Reason> {
        let cluster = self.cluster(host, host).await?;
        Ok(cluster.endpoints.iter().map(|one| one.address.to_string()).collect())
    }

    async fn cluster(&self, authority: &str, host: &str) -> Result<Arc<Cluster>, Reason> {
        let snapshot = self.snapshot.load_full();
        let authority = Authority::parse(&format!("{authority}:80")).unwrap();
        let port = snapshot.target(&authority).unwrap();
        let endpoints = self.dns.endpoints(&snapshot, &port.cluster, Some(host)).await?;
        Ok(Arc::clone(&endpoints))
    }
}

fn ok(addresses: &[&str]) -> Result<Vec<String>, Reason> {
    Ok(addresses.iter().map(|one| format!("{one}:80")).collect())
}

#[tokio::test(start_paused = true)]
async fn answers_are_renewed_and_kept_when_the_resolver_fails() {
    let fixture = Fixture::new();
    let script = &fixture.script;
    script.say("a.example.com", &["192.0.2.1", "192.0.2.2"], 30);
    let body = async {
        assert_eq!(
            fixture.addresses("a.example.com").await,
            ok(&["192.0.2.1", "192.0.2.2"])
        );
        let kept = fixture.cluster("a.example.com", "a.example.com").await.unwrap();
        script.say("a.example.com", &["192.0.2.2", "192.0.2.3"], 30);
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(
            fixture.addresses("a.example.com").await,
            ok(&["192.0.2.2", "192.0.2.3"])
        );
        let now = fixture.cluster("a.example.com", "a.example.com").await.unwrap();
        assert!(Arc::ptr_eq(&kept.endpoints[1], &now.endpoints[0]), "load counters stay");
        for why in ["SERVFAIL", "silence"] {
            script.fail("a.example.com", why);
            let before = script.asked("a.example.com");
            tokio::time::sleep(Duration::from_secs(600)).await;
            assert_eq!(
                fixture.addresses("a.example.com").await,
                ok(&["192.0.2.2", "192.0.2.3"]),
                "{why}"
            );
            let lookups = script.asked("a.example.com") - before;
            assert!((10..40).contains(&lookups), "{why}: {lookups} lookups in ten minutes");
        }
        script.say("a.example.com", &["192.0.2.9"], 30);
        tokio::time::sleep(Duration::from_secs(45)).await;
        assert_eq!(fixture.addresses("a.example.com").await, ok(&["192.0.2.9"]));
    };
    fixture.run(body).await;
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_look_up() {
    let fixture = Fixture::new();
    fixture.script.say("a.example.com", &["192.0.2.1"], 30);
    let body = async {
        for _ in 0..1000 {
            fixture.addresses("a.example.com").await.unwrap();
        }
        assert_eq!(fixture.script.asked("a.example.com"), 1);
    };
    fixture.run(body).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_request_waits_and_not_for_ever() {
    let fixture = Fixture::new();
    let script = &fixture.script;
    script.fail("a.example.com", "silence");
    script.put("rr.example.com", Err(Failure::Nothing));
    let body = async {
        let began = tokio::time::Instant::now();
        assert_eq!(fixture.addresses("rr.example.com").await, Err(Reason::Unresolved));
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "there is an answer: there is no such name"
        );
        assert_eq!(fixture.addresses("a.example.com").await, Err(Reason::Unresolved));
        assert!(began.elapsed() < FIRST_ANSWER + Duration::from_secs(1));
        script.say("rr.example.com", &["192.0.2.1", "192.0.2.2"], 30);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(
            fixture.addresses("rr.example.com").await,
            ok(&["192.0.2.1"]),
            "one of them"
        );
    };
    fixture.run(body).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_gone_for_sure_is_given_up() {
    let fixture = Fixture::new();
    fixture.script.say("a.example.com", &["192.0.2.1"], 30);
    let body = async {
        assert_eq!(fixture.addresses("a.example.com").await, ok(&["192.0.2.1"]));
        fixture.script.put("a.example.com", Err(Failure::Nothing));
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(
            fixture.addresses("a.example.com").await,
            ok(&["192.0.2.1"]),
            "once is not sure"
        );
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(fixture.addresses("a.example.com").await, Err(Reason::Unresolved));
    };
    fixture.run(body).await;
}

#[tokio::test(start_paused = true)]
async fn addresses_that_must_not_be_reached_are_no_answer() {
    let fixture = Fixture::new();
    fixture
        .script
        .say("a.example.com", &["169.254.169.254", "127.0.0.1"], 30);
    fixture
        .run(async { assert_eq!(fixture.addresses("a.example.com").await, Err(Reason::Unresolved)) })
        .await;
}

#[tokio::test(start_paused = true)]
async fn below_a_wildcard_each_host_has_its_own_endpoints_and_others_have_none() {
    let fixture = Fixture::new();
    let script = &fixture.script;
    script.say("x.wild.example.com", &["192.0.2.1"], 30);
    script.say("y.wild.example.com", &["192.0.2.2"], 30);
    script.say("elsewhere.example.org", &["192.0.2.3"], 30);
    let body = async {
        assert_eq!(fixture.addresses("x.wild.example.com").await, ok(&["192.0.2.1"]));
        let of = |host: &'static str| async {
            let cluster = fixture.cluster("x.wild.example.com", host).await?;
            Ok::<_, Reason>(cluster.endpoints[0].address.to_string())
        };
        assert_eq!(of("y.wild.example.com").await.unwrap(), "192.0.2.2:80");
        for host in [
            "elsewhere.example.org",
            "wild.example.com",
            "xwild.example.com",
            "192.0.2.3",
        ] {
            assert_eq!(of(host).await, Err(Reason::NoRoute), "{host}");
        }
        assert_eq!(script.asked("elsewhere.example.org"), 0);
        assert_eq!(of("nobody.wild.example.com").await, Err(Reason::Unresolved));
        // Who is not asked for is forgotten.
        tokio::time::sleep(Duration::from_secs(1800)).await;
        let before = script.asked("x.wild.example.com");
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(script.asked("x.wild.example.com"), before);
        assert_eq!(
            fixture.addresses("x.wild.example.com").await,
            ok(&["192.0.2.1"]),
            "until it is again"
        );
    };
    fixture.run(body).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_config_keeps_answers_and_drops_names_nobody_has() {
    let fixture = Fixture::new();
    let script = &fixture.script;
    script.say("a.example.com", &["192.0.2.1"], 3600);
    script.say("b.example.com", &["192.0.2.2"], 3600);
    let mut compiler = Compiler::new(Scope::default());
    fixture.publish(&mut compiler, MESH);
    let body = async {
        let cluster = fixture.cluster("a.example.com", "a.example.com").await.unwrap();
        cluster.endpoints[0].in_flight.store(7, Ordering::Relaxed);
        let more = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: b, namespace: shop}\n\
            spec: {hosts: [b.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}\n";
        fixture.publish(&mut compiler, &format!("{MESH}{more}"));
        assert_eq!(fixture.addresses("b.example.com").await, ok(&["192.0.2.2"]));
        let cluster = fixture.cluster("a.example.com", "a.example.com").await.unwrap();
        assert_eq!(cluster.endpoints[0].in_flight.load(Ordering::Relaxed), 7);
        assert_eq!(script.asked("a.example.com"), 1);
        fixture.publish(&mut compiler, MESH);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(fixture.metrics.dns_names.get(), 2, "a and rr");
    };
    fixture.run(body).await;
}
