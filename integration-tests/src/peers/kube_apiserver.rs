//! A real kube-apiserver with its etcd, from the folder that `KUBEBUILDER_ASSETS` names (`setup-envtest use -p path` makes
//! one: etcd, kube-apiserver, kubectl). Tests that want it skip with a word where there is none.
//!
//! The waypoint's account may do what ARCHITECTURE.md says it needs, and nothing else.

use super::kube_api::ApiKind;
use super::loopback::free_port;
use super::waiting::until_within;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// It starts within this time, also where much else runs.
const STARTS: Duration = Duration::from_secs(120);

/// A running one. Both processes end when it is dropped.
pub struct KubeApiserver {
    assets: PathBuf,
    folder: TempDir,
    etcd: Child,
    etcd_port: u16,
    port: u16,
    server: Option<Child>,
}

impl KubeApiserver {
    /// Starts both and waits until the server is ready; `None`: there is no such folder.
    pub async fn start() -> Option<Self> {
        let assets = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?);
        let folder = tempfile::tempdir().unwrap();
        let (etcd_port, peers, port) = (free_port(), free_port(), free_port());
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("sa.key"), key.serialize_pem()).unwrap();
        // It takes no public key from a private one in PKCS #8.
        std::fs::write(folder.path().join("sa.pub"), key.public_key_pem()).unwrap();
        let tokens = "admin,admin,1,system:masters\nwaypoint,waypoint,2\n";
        std::fs::write(folder.path().join("tokens.csv"), tokens).unwrap();
        let etcd = Command::new(assets.join("etcd"))
            .arg("--data-dir")
            .arg(folder.path().join("etcd"))
            .arg(format!("--listen-client-urls=http://127.0.0.1:{etcd_port}"))
            .arg(format!("--advertise-client-urls=http://127.0.0.1:{etcd_port}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{peers}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("etcd of {}: {e}", assets.display()));
        let mut api = Self {
            assets,
            folder,
            etcd,
            etcd_port,
            port,
            server: None,
        };
        api.write_kubeconfig("admin", "admin");
        api.write_kubeconfig("waypoint", "waypoint");
        api.up().await;
        Some(api)
    }

    /// Starts the server (again).
    pub async fn up(&mut self) {
        let path = |file: &str| self.folder.path().join(file).display().to_string();
        let server = Command::new(self.assets.join("kube-apiserver"))
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port))
            .arg(format!("--secure-port={}", self.port))
            .arg("--bind-address=127.0.0.1")
            // Nobody goes there; without it, it looks for a default route, and a network namespace has none.
            .arg("--advertise-address=10.10.255.254")
            .arg(format!("--cert-dir={}", path("certs")))
            .arg("--service-cluster-ip-range=10.20.0.0/16")
            .arg("--authorization-mode=RBAC")
            .arg(format!("--token-auth-file={}", path("tokens.csv")))
            .arg("--service-account-issuer=https://localhost")
            .arg(format!("--service-account-key-file={}", path("sa.pub")))
            .arg(format!("--service-account-signing-key-file={}", path("sa.key")))
            .arg("--disable-admission-plugins=ServiceAccount")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path("kube-apiserver.log")).unwrap())
            .spawn()
            .unwrap();
        self.server = Some(server);
        until_within(STARTS, "the API server is ready", async || {
            self.kubectl(&["get", "--raw", "/readyz"], "").is_ok()
        })
        .await;
    }

    /// Kills the server. The objects stay in etcd.
    pub fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// The waypoint's kubeconfig.
    pub fn waypoint_kubeconfig(&self) -> PathBuf {
        self.folder.path().join("waypoint.kubeconfig")
    }

    /// Lets the waypoint list and watch what it needs, by name where it can be.
    pub fn allow_waypoint(&self, namespace: &str) {
        let rule = |groups: &[&str], resources: &[&str], names: &[&str]| {
            let mut rule = json!({ "apiGroups": groups, "resources": resources, "verbs": ["list", "watch"] });
            if !names.is_empty() {
                rule["resourceNames"] = json!(names);
            }
            rule
        };
        let gateway = &["gateway.networking.k8s.io", "gateway.networking.x-k8s.io"];
        let istio = &[
            "networking.istio.io",
            "security.istio.io",
            "telemetry.istio.io",
            "extensions.istio.io",
        ];
        let everywhere = json!([
            rule(&[""], &["namespaces", "services", "pods", "nodes"], &[]),
            rule(&["discovery.k8s.io"], &["endpointslices"], &[]),
            rule(gateway, &["*"], &[]),
            rule(istio, &["*"], &[]),
        ]);
        let rbac = "rbac.authorization.k8s.io";
        let user = json!([{ "kind": "User", "name": "waypoint", "apiGroup": rbac }]);
        let settings = json!([rule(&[""], &["configmaps"], &["istio"])]);
        let own = json!([rule(&[""], &["secrets", "configmaps"], &[])]);
        let version = "rbac.authorization.k8s.io/v1";
        let reader = json!({ "name": "waypoint" });
        self.apply(&json!({ "apiVersion": version, "kind": "ClusterRole", "metadata": reader, "rules": everywhere }));
        self.apply(
            &json!({ "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": reader, "subjects": user,
            "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": "waypoint" } }),
        );
        for (namespace, rules) in [("istio-system", settings), (namespace, own)] {
            let meta = json!({ "name": "waypoint", "namespace": namespace });
            self.apply(&json!({ "apiVersion": version, "kind": "Role", "metadata": meta, "rules": rules }));
            self.apply(
                &json!({ "apiVersion": version, "kind": "RoleBinding", "metadata": meta, "subjects": user,
                "roleRef": { "apiGroup": rbac, "kind": "Role", "name": "waypoint" } }),
            );
        }
    }

    /// Installs a CRD that admits anything.
    pub fn add_kind(&self, kind: &ApiKind) {
        let versions = kind.versions.iter().enumerate().map(|(n, version)| {
            json!({ "name": version, "served": true, "storage": n == 0, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } })
        });
        let name = format!("{}.{}", kind.plural, kind.group);
        self.apply(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            // Groups of Kubernetes want a word of approval.
            "metadata": { "name": name, "annotations": { "api-approved.kubernetes.io": "unapproved, a test" } },
            "spec": { "group": kind.group, "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
                "names": { "plural": kind.plural, "kind": kind.name }, "versions": versions.collect::<Vec<_>>() },
        }));
        self.kubectl(&["wait", "--for=condition=Established", "crd", &name], "")
            .unwrap();
    }

    /// `kubectl apply --server-side`, and the status by its subresource.
    pub fn apply(&self, object: &Value) {
        let text = object.to_string();
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl(&apply, &text).unwrap();
        if object.get("status").is_some() {
            self.kubectl(&[&apply[..], &["--subresource=status"]].concat(), &text)
                .unwrap();
        }
    }

    /// `kubectl apply` of a file, as users do it.
    pub fn apply_file(&self, path: &Path) {
        let path = path.display().to_string();
        self.kubectl(&["apply", "-f", &path], "")
            .unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    /// Installs the CRDs of a folder: such as are too long for what `kubectl apply` keeps of them.
    pub fn add_kinds_of(&self, folder: &Path) {
        let folder = folder.display().to_string();
        self.kubectl(&["apply", "--server-side", "-f", &folder], "")
            .unwrap_or_else(|e| panic!("{folder}: {e}"));
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "")
            .unwrap();
    }

    /// Applies the manifests of a folder, each after `edit` has had it, as the API server takes them.
    pub fn load(&self, folder: &Path, edit: impl Fn(&mut Value)) {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths {
            let text = std::fs::read_to_string(&path).unwrap();
            for document in text.split("\n---\n") {
                let mut object: Value = serde_json::from_str(document).unwrap();
                object["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
                edit(&mut object);
                self.apply(&object);
            }
        }
    }

    /// `kubectl get`.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let text = self
            .kubectl(&["get", "-n", namespace, kind, name, "-o", "json"], "")
            .ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// `kubectl patch` of a status.
    pub fn patch_status(&self, kind: &str, namespace: &str, name: &str, patch: &Value) {
        let patch = patch.to_string();
        let args = [
            "patch",
            "-n",
            namespace,
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        self.kubectl(&args, "").unwrap();
    }

    /// A kubeconfig by which one acts as this service account.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self
            .kubectl(&["create", "token", "-n", namespace, account], "")
            .unwrap();
        self.write_kubeconfig(account, token.trim())
    }

    /// `kubectl delete`.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        self.kubectl(&["delete", "-n", namespace, kind, name], "").unwrap();
    }

    fn kubectl(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new(self.assets.join("kubectl"))
            .arg("--kubeconfig")
            .arg(self.folder.path().join("admin.kubeconfig"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(told(&output.stdout))
        } else {
            Err(told(&output.stderr))
        }
    }

    fn write_kubeconfig(&self, user: &str, token: &str) -> PathBuf {
        let cluster = json!({ "server": format!("https://127.0.0.1:{}", self.port), "insecure-skip-tls-verify": true });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "real",
            "clusters": [{ "name": "real", "cluster": cluster }],
            "users": [{ "name": user, "user": { "token": token } }],
            "contexts": [{ "name": "real", "context": { "cluster": "real", "user": user } }],
        });
        let path = self.folder.path().join(format!("{user}.kubeconfig"));
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

impl Drop for KubeApiserver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("kube-apiserver.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- end of the log of the API server ---\n{last}\n---");
        }
        self.down();
        self.etcd.kill().ok();
        self.etcd.wait().ok();
    }
}
