//! An API server in memory: enough of Kubernetes' list, watch and write protocol to be watched and written to, and every
//! fault of it on demand. It checks nothing of what objects say: that is what the code under test must bear.
//!
//! Start at [`KubeApi`]; `state` holds the objects and their history, `serve` speaks HTTP, `write` changes objects as the
//! server does for clients.

mod faults;
mod kinds;
mod paths;
mod select;
mod serve;
mod state;
mod watching;
mod write;

pub use faults::Faults;
pub use kinds::ApiKind;

use super::tls_server::PublicCa;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use state::State;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The running server. It ends when dropped.
pub struct KubeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Mutex<Option<JoinHandle<()>>>,
    folder: tempfile::TempDir,
    loaded: Mutex<BTreeMap<String, Value>>,
}

/// What its connections share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Bumped whenever watchers must look.
    news: watch::Sender<u64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes something, and wakes the watchers.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state());
        self.news.send_modify(|n| *n += 1);
        value
    }
}

impl KubeApi {
    /// Serves the kinds of Kubernetes, Gateway API and Istio that a mesh has, with no objects, to whoever has the token
    /// `first`.
    pub async fn start() -> Self {
        let api = Self::down_at_first().await;
        api.up().await;
        api
    }

    /// The same, but nothing listens yet.
    pub async fn down_at_first() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "first").unwrap();
        let api = Self {
            address,
            shared: Arc::new(Shared {
                state: Mutex::new(State::new()),
                news: watch::Sender::new(0),
            }),
            serving: Mutex::new(None),
            folder,
            loaded: Mutex::default(),
        };
        api.write_kubeconfig("kubeconfig", json!({ "server": format!("http://{}", api.address) }));
        api
    }

    /// Where it listens, in clear.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig whose user has a token file, as a pod's account has.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The same for a server with TLS in front of this one, on this port of localhost: its certificate is of this authority.
    pub fn kubeconfig_by_tls(&self, port: u16, ca: &PublicCa) -> PathBuf {
        let ca = BASE64_STANDARD.encode(ca.pem());
        let cluster = json!({ "server": format!("https://localhost:{port}"), "certificate-authority-data": ca });
        self.write_kubeconfig("kubeconfig-tls", cluster)
    }

    /// Only this token is good from now on.
    pub fn accept_token(&self, token: &str) {
        self.shared.change(|state| state.token = token.to_owned());
    }

    /// Writes the token file, as a kubelet does.
    pub fn write_token(&self, token: &str) {
        super::mesh_world::put(self.folder.path(), "token", token);
    }

    /// Listens (again).
    pub async fn up(&self) {
        let listener = super::waiting::until_ok("the API server's port is free", async || {
            TcpListener::bind(self.address).await.map_err(|e| e.to_string())
        })
        .await;
        let serving = tokio::spawn(serve::run(listener, Arc::clone(&self.shared)));
        *self.serving.lock().unwrap() = Some(serving);
    }

    /// Goes away with all its connections.
    pub async fn down(&self) {
        let serving = self.serving.lock().unwrap().take();
        if let Some(serving) = serving {
            serving.abort();
            serving.await.ok();
        }
    }

    /// Changes what goes wrong.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.change(|state| change(&mut state.faults));
    }

    /// Ends all watches that are open, without a word.
    pub fn cut_watches(&self) {
        self.shared.change(|state| state.cuts += 1);
    }

    /// Sends a bookmark on every watch.
    pub fn bookmark(&self) {
        self.shared.change(|state| state.bookmarks += 1);
    }

    /// Forgets the history: whoever resumes an older watch gets 410.
    pub fn compact(&self) {
        self.shared.change(State::compact);
    }

    /// A CRD is installed.
    pub fn add_kind(&self, kind: ApiKind) {
        self.shared.change(|state| state.kinds.push(kind));
    }

    /// A CRD is removed, and the objects with it. Gives it back.
    pub fn remove_kind(&self, name: &str) -> ApiKind {
        self.shared.change(|state| state.remove_kind(name))
    }

    /// Puts an object as a user's `kubectl apply` leaves it, status included. The same content is no change.
    pub fn put(&self, object: &Value) {
        self.shared.change(|state| state.put(object));
    }

    /// Deletes an object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let gone = self.shared.change(|state| state.delete(kind, namespace, name));
        assert!(gone.is_some(), "no {kind} {namespace}/{name}");
    }

    /// An object as it is now.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.shared.state().get(kind, namespace, name).cloned()
    }

    /// Makes the objects those of a folder of manifests: what is new or changed is put, what was loaded before and is not
    /// there any more is deleted.
    pub fn load(&self, folder: &Path) {
        let mut loaded = self.loaded.lock().unwrap();
        let mut now = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for document in text.split("\n---\n") {
                let object: Value =
                    serde_json::from_str(document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                now.insert(state::display(&object), object);
            }
        }
        for (name, object) in &now {
            if loaded.get(name) != Some(object) {
                self.put(object);
            }
        }
        for (name, object) in loaded.iter().filter(|(name, _)| !now.contains_key(*name)) {
            let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let (kind, namespace, name_of) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
            assert!(self.get(kind, namespace, name_of).is_some(), "{name} is gone already");
            self.delete(kind, namespace, name_of);
        }
        *loaded = now;
    }

    /// Lists of a kind that were answered with objects, first pages only.
    pub fn lists(&self, plural: &str) -> u64 {
        self.shared
            .state()
            .counts
            .lists
            .get(plural)
            .copied()
            .unwrap_or_default()
    }

    /// Pages of lists of a kind after the first.
    pub fn pages(&self, plural: &str) -> u64 {
        self.shared
            .state()
            .counts
            .pages
            .get(plural)
            .copied()
            .unwrap_or_default()
    }

    /// Watches of a kind that were started.
    pub fn watches(&self, plural: &str) -> u64 {
        self.shared
            .state()
            .counts
            .watches
            .get(plural)
            .copied()
            .unwrap_or_default()
    }

    /// Writes of clients that changed something, in their order: `verb Kind namespace/name`.
    pub fn writes(&self) -> Vec<String> {
        self.shared.state().counts.writes.clone()
    }

    /// Requests of any sort, refused ones too.
    pub fn requests(&self) -> u64 {
        self.shared.state().counts.requests
    }

    /// `plural namespace` of every list so far; an empty namespace is the whole cluster.
    pub fn asked(&self) -> Vec<String> {
        self.shared.state().counts.asked.iter().cloned().collect()
    }

    fn write_kubeconfig(&self, file: &str, cluster: Value) -> PathBuf {
        let user = json!({ "tokenFile": self.folder.path().join("token") });
        let context = json!({ "cluster": "fake", "user": "waypoint", "namespace": super::mesh_world::NAMESPACE });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{ "name": "fake", "cluster": cluster }],
            "users": [{ "name": "waypoint", "user": user }],
            "contexts": [{ "name": "fake", "context": context }],
        });
        let path = self.folder.path().join(file);
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.lock().unwrap().take() {
            serving.abort();
        }
    }
}
