#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use async_trait::async_trait;
use mesh::{Compiler, Resources, Scope};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

const SET: &str = r#"{"keys":[]}"#;
const OTHER: &str = r#"{"keys":[],"x":1}"#;

/// Answers what it is told to, and tells when it was asked.
#[derive(Default)]
struct Script {
    answer: Mutex<Option<Result<String, FetchFault>>>,
    asked: Mutex<Vec<Instant>>,
    told: Notify,
    /// Panics instead.
    panics: AtomicBool,
}

#[async_trait]
impl Fetch for Script {
    async fn fetch(&self, _: &KeySource) -> Result<String, FetchFault> {
        self.asked.lock().unwrap().push(Instant::now());
        self.told.notify_one();
        assert!(!self.panics.load(Ordering::SeqCst), "as told");
        self.answer.lock().unwrap().clone().unwrap_or(Err(FetchFault::Timeout))
    }
}

struct Stage {
    script: Arc<Script>,
    keys: Arc<ArcSwap<KeySets>>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    changes: watch::Sender<u64>,
    wishes: mpsc::Sender<Arc<str>>,
    settled: watch::Sender<bool>,
    start: Instant,
}

impl Stage {
    fn new(answer: Result<&str, FetchFault>) -> Self {
        let script = Arc::new(Script::default());
        script.say(answer);
        let (wishes, wished) = mpsc::channel(8);
        let stage = Self {
            script: Arc::clone(&script),
            keys: Arc::default(),
            snapshot: Arc::new(ArcSwap::from(config(true))),
            changes: watch::Sender::default(),
            wishes,
            settled: watch::Sender::default(),
            start: Instant::now(),
        };
        let (keys, snapshot, changes) = (
            Arc::clone(&stage.keys),
            Arc::clone(&stage.snapshot),
            stage.changes.subscribe(),
        );
        let settled = stage.settled.clone();
        tokio::spawn(async move {
            let metrics = OwnMetrics::default();
            let world = World {
                snapshot: &snapshot,
                changes,
                keys: &keys,
                metrics: &metrics,
                settled: &settled,
            };
            Worker::new(world, script).run(wished).await;
        });
        stage
    }

    /// Waits for one more fetch; seconds since the start.
    async fn fetched(&self) -> u64 {
        self.script.told.notified().await;
        // What came of it is taken in before any other clock runs out.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let last = *self.script.asked.lock().unwrap().last().unwrap();
        last.duration_since(self.start).as_secs()
    }

    fn id(&self) -> Arc<str> {
        Arc::clone(&self.snapshot.load().key_sources()[0].id)
    }
}

impl Script {
    fn say(&self, answer: Result<&str, FetchFault>) {
        *self.answer.lock().unwrap() = Some(answer.map(str::to_owned));
    }
}

/// A Service whose tokens are checked by fetched keys, or one without.
fn config(needs_keys: bool) -> Arc<Snapshot> {
    let mut text = String::from(
        "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
",
    );
    if needs_keys {
        text.push_str(
            "---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt, namespace: shop}
spec:
  targetRefs: [{kind: Service, group: '', name: reviews}]
  jwtRules: [{issuer: me, jwksUri: 'https://issuer.example/keys'}]
",
        );
    }
    let resources = Resources::from_yaml("mesh.yaml".as_ref(), &text);
    let (snapshot, findings) = Compiler::new(Scope::default()).compile(&resources);
    assert!(findings.is_empty(), "{findings:?}");
    snapshot
}

#[tokio::test(start_paused = true)]
async fn a_set_is_fetched_at_once_and_again_after_twenty_minutes() {
    let stage = Stage::new(Ok(SET));
    assert_eq!(stage.fetched().await, 0);
    assert_eq!(stage.keys.load().generation, 1);
    assert!(stage.keys.load().sets.contains_key(&stage.id()));
    let again = stage.fetched().await;
    assert!((18 * 60..=22 * 60).contains(&again), "{again}");
    assert_eq!(stage.keys.load().generation, 1, "the same text is not published again");
    stage.script.say(Ok(OTHER));
    stage.fetched().await;
    assert_eq!(stage.keys.load().generation, 2);
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_ever_later_and_lose_nothing() {
    let stage = Stage::new(Ok(SET));
    stage.fetched().await;
    stage.script.say(Err(FetchFault::Timeout));
    let mut before = stage.fetched().await;
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        let now = stage.fetched().await;
        let waited = now - before;
        assert!(
            (wait * 9 / 10..=wait * 11 / 10 + 1).contains(&waited),
            "{waited} for {wait}"
        );
        before = now;
    }
    assert_eq!(stage.keys.load().sets.len(), 1, "the keys before stay in force");
    stage.script.say(Ok("no JSON"));
    stage.fetched().await;
    assert_eq!(stage.keys.load().generation, 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_ask_for_one_fetch_in_five_seconds() {
    let stage = Stage::new(Ok(SET));
    stage.fetched().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..100 {
        stage.wishes.send(stage.id()).await.unwrap();
    }
    assert_eq!(stage.fetched().await, 10);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.script.asked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_config_does_not_name_is_forgotten() {
    let stage = Stage::new(Ok(SET));
    stage.fetched().await;
    stage.snapshot.store(config(false));
    stage.changes.send_replace(2);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(stage.keys.load().sets.is_empty());
    assert_eq!(stage.script.asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_panics_is_one_that_failed() {
    let stage = Stage::new(Ok(SET));
    stage.script.panics.store(true, Ordering::SeqCst);
    assert_eq!(stage.fetched().await, 0);
    stage.script.panics.store(false, Ordering::SeqCst);
    // After a second, give or take a tenth.
    assert!(stage.fetched().await <= 1);
    assert!(stage.keys.load().sets.contains_key(&stage.id()));
}

#[tokio::test(start_paused = true)]
async fn it_is_settled_when_every_source_was_tried() {
    for answer in [Ok(SET), Err(FetchFault::Timeout)] {
        let stage = Stage::new(answer);
        assert!(!*stage.settled.borrow());
        stage.fetched().await;
        assert!(*stage.settled.borrow());
    }
}
