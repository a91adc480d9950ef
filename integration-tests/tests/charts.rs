//! Promise: the Helm charts install what `controller/` computes for a Gateway and what the waypoint needs, every key of
//! theirs does something, and what is wrong in a value is refused with its place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::helm::Helm;
use integration_tests::peers::kube_api::KubeApi;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach};
use integration_tests::peers::node_tools::installed;
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::{Waypoint, binary};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const GATEWAY_CHART: &str = "waypoint-gateway";
const CONTROLLER_CHART: &str = "waypoint";
const CHARTS: [&str; 2] = [GATEWAY_CHART, CONTROLLER_CHART];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn chart(name: &str) -> String {
    deploy().join("charts").join(name).display().to_string()
}

fn yaml(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    documents(&text)
}

fn documents(text: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    objects.retain(|object| !object.is_null());
    objects
}

/// The value files that come with a chart, and none.
fn value_files(name: &str) -> Vec<Option<String>> {
    let files = std::fs::read_dir(Path::new(&chart(name)).join("ci")).unwrap();
    let mut found: Vec<_> = files
        .map(|file| Some(file.unwrap().path().display().to_string()))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found.insert(0, None);
    found
}

/// What helm would send to the API server for release `waypoint`, in namespace `demo` or, the controller's, `waypoint-system`.
fn rendered(helm: &Helm, name: &str, more: &[&str]) -> Result<String, String> {
    let mut args = vec!["template", "waypoint"];
    let path = chart(name);
    let namespace = if name == CONTROLLER_CHART {
        "waypoint-system"
    } else {
        NAMESPACE
    };
    args.extend([path.as_str(), "--namespace", namespace]);
    args.extend(more);
    let done = helm.helm(&args);
    if done.status.success() {
        return Ok(String::from_utf8(done.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&done.stderr).into_owned())
}

fn objects(helm: &Helm, name: &str, more: &[&str]) -> Vec<Value> {
    documents(&rendered(helm, name, more).unwrap_or_else(|why| panic!("{name} {more:?}: {why}")))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "two of {kind}");
    first
}

#[test]
fn they_pass_helms_lint_and_the_published_schemas_and_kubectl() {
    let Some(helm) = Helm::installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for name in CHARTS {
        for (n, values) in value_files(name).iter().enumerate() {
            let values: Vec<_> = values.iter().flat_map(|file| ["--values", file]).collect();
            let path = chart(name);
            let done = helm.helm(&[&["lint", "--strict", path.as_str()], values.as_slice()].concat());
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
            let file = folder.path().join(format!("{name}-{n}.yaml"));
            std::fs::write(&file, rendered(&helm, name, &values).unwrap()).unwrap();
            // kubectl reads it as it would before it sends it.
            let shown = file.display().to_string();
            let done = helm.kubectl(&["annotate", "--local", "-f", &shown, "read=yes", "-o", "name"]);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            assert_eq!(String::from_utf8_lossy(&done.stdout).lines().count(), yaml(&file).len());
            files.push(file);
        }
    }
    let Some(home) = installed("manifests", &integration_tests::peers::node_tools::SCHEMAS) else {
        return;
    };
    let script = home.join("validate-charts.mjs");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/validate-manifests.mjs");
    std::fs::copy(source, &script).unwrap();
    let done = Command::new("node").arg(script).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.lines().count() > 20, "{said}");
}

#[test]
fn the_waypoint_finds_no_error_in_what_they_install() {
    let Some(helm) = Helm::installed() else { return };
    for values in value_files(GATEWAY_CHART) {
        let values: Vec<_> = values.iter().flat_map(|file| ["--values", file]).collect();
        let folder = tempfile::tempdir().unwrap();
        let text = rendered(&helm, GATEWAY_CHART, &values).unwrap();
        std::fs::write(folder.path().join("chart.yaml"), text).unwrap();
        let done = Command::new(binary()).arg("check").arg(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{values:?}:\n{said}");
    }
}

/// Without what only Helm, or only the controller, says of an object.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    for place in ["/metadata", "/spec/template/metadata"] {
        if let Some(meta) = object.pointer_mut(place) {
            bare_meta(meta.as_object_mut().unwrap());
        }
    }
    object
}

fn bare_meta(meta: &mut Map<String, Value>) {
    meta.remove("ownerReferences");
    let labels = meta["labels"].as_object_mut().unwrap();
    labels.retain(|name, _| {
        !name.starts_with("app.kubernetes.io/") && name != "helm.sh/chart" && name != "gateway.istio.io/managed"
    });
    if meta.get("annotations").is_some_and(|all| all == &json!({})) {
        meta.remove("annotations");
    }
}

/// The one of a kind and name.
fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// One source of truth: `controller/testdata/desired.json` is what the controller's own tests hold it to.
#[test]
fn it_installs_what_the_controller_would() {
    let Some(helm) = Helm::installed() else { return };
    let installed = objects(&helm, GATEWAY_CHART, &[]);
    let desired = std::fs::read_to_string(deploy().join("../controller/testdata/desired.json")).unwrap();
    let desired: Vec<Value> = serde_json::from_str(&desired).unwrap();
    assert_eq!(desired.len(), 3);
    for wanted in &desired {
        let found = of_kind(&installed, wanted["kind"].as_str().unwrap());
        let (found, wanted) = (bare(found), bare(wanted));
        assert_eq!(
            serde_json::to_string_pretty(&found).unwrap(),
            serde_json::to_string_pretty(&wanted).unwrap()
        );
    }
}

#[test]
fn its_account_may_do_what_the_manifests_by_hand_allow_and_no_more() {
    let Some(helm) = Helm::installed() else { return };
    let by_hand = yaml(&deploy().join("kubernetes/rbac.yaml"));
    let installed = objects(&helm, GATEWAY_CHART, &[]);
    for kind in ["ClusterRole", "Role"] {
        assert_eq!(
            of_kind(&installed, kind)["rules"],
            of_kind(&by_hand, kind)["rules"],
            "{kind}"
        );
    }
    let all = objects(&helm, GATEWAY_CHART, &["--set", "rbac.secretNames={a,b}"]);
    let own: Vec<_> = all.iter().filter(|object| object["kind"] == "Role").collect();
    let rules = json!([{ "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"], "verbs": ["list", "watch"] }]);
    assert!(
        own.iter()
            .any(|role| role["rules"] == rules && role["metadata"]["namespace"] == NAMESPACE)
    );
    let none = objects(&helm, GATEWAY_CHART, &["--set", "rbac.enabled=false"]);
    assert!(
        none.iter()
            .all(|object| !object["apiVersion"].as_str().unwrap().starts_with("rbac."))
    );
}

/// The chart's and the manifests to apply by hand are one controller.
#[test]
fn the_controllers_chart_installs_what_the_manifests_by_hand_do() {
    let Some(helm) = Helm::installed() else { return };
    let installed = objects(&helm, CONTROLLER_CHART, &[]);
    let mut by_hand = yaml(&deploy().join("kubernetes/controller.yaml"));
    by_hand.extend(yaml(&deploy().join("kubernetes/rbac.yaml")));
    let mut compared = 0;
    for wanted in &by_hand {
        let (kind, name) = (
            wanted["kind"].as_str().unwrap(),
            wanted["metadata"]["name"].as_str().unwrap(),
        );
        if kind == "Namespace" {
            continue; // `helm install --create-namespace`
        }
        let found = named(&installed, kind, name);
        assert_eq!(
            found["metadata"]["namespace"], wanted["metadata"]["namespace"],
            "{kind} {name}"
        );
        for field in ["rules", "roleRef", "subjects"] {
            assert_eq!(found[field], wanted[field], "{kind} {name}: {field}");
        }
        assert_eq!(found["spec"]["controllerName"], wanted["spec"]["controllerName"]);
        compared += 1;
    }
    assert!(compared >= 12, "{compared}");
    let container =
        |objects: &[Value]| of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0].clone();
    let (found, wanted) = (container(&installed), container(&by_hand));
    for field in [
        "image",
        "args",
        "ports",
        "readinessProbe",
        "livenessProbe",
        "resources",
        "securityContext",
    ] {
        assert_eq!(found[field], wanted[field], "{field}");
    }
    for variable in wanted["env"].as_array().unwrap() {
        assert!(found["env"].as_array().unwrap().contains(variable), "{variable}");
    }
}

/// The leaves of a values file, with their paths. Lists and empty objects are leaves.
fn leaves<'a>(value: &'a Value, path: &[&'a str], found: &mut Vec<(Vec<&'a str>, &'a Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                leaves(field, &[path, &[name.as_str()]].concat(), found);
            }
        }
        leaf => found.push((path.to_vec(), leaf)),
    }
}

/// A value that is not the default.
fn another(key: &str, default: &Value, everything: Option<&Value>) -> Value {
    match (everything, default) {
        (Some(other), _) => other.clone(),
        (None, Value::Bool(default)) => json!(!default),
        (None, Value::String(default)) => match key {
            "kind" => json!("DaemonSet"),
            "global.platform" => json!("openshift"),
            "caAddress" => json!("ca:443"),
            _ => json!(format!("{default}x")),
        },
        (None, default) => panic!("{key}: everything-values.yaml has nothing in place of {default}"),
    }
}

/// What shows only with another value.
fn shown_with(key: &str) -> &'static [&'static str] {
    match key {
        "replicaCount" => &["--set", "autoscaling.enabled=false"],
        "podMonitor.interval" | "podMonitor.labels" => &["--set", "podMonitor.enabled=true"],
        "serviceMonitor.interval" | "serviceMonitor.labels" => &["--set", "serviceMonitor.enabled=true"],
        _ => &[],
    }
}

#[test]
fn every_key_does_something() {
    let Some(helm) = Helm::installed() else { return };
    for name in CHARTS {
        let plain = |more: &[&str]| rendered(&helm, name, more).unwrap_or_else(|why| panic!("{more:?}: {why}"));
        let defaults = yaml(&Path::new(&chart(name)).join("values.yaml")).remove(0);
        let everything = yaml(&Path::new(&chart(name)).join("ci/everything-values.yaml")).remove(0);
        let mut keys = Vec::new();
        leaves(&defaults, &[], &mut keys);
        assert!(keys.len() > 40, "{}", keys.len());
        for (path, default) in keys {
            let pointer: String = path
                .iter()
                .map(|name| format!("/{}", name.replace('/', "~1")))
                .collect();
            let key = path
                .iter()
                .map(|name| name.replace('.', "\\."))
                .collect::<Vec<_>>()
                .join(".");
            // One is refused, whatever it is.
            if key == "networkGateway" {
                continue;
            }
            let base = if name == CONTROLLER_CHART && key == "replicaCount" {
                &[]
            } else {
                shown_with(&key)
            };
            let change = format!("{key}={}", another(&key, default, everything.pointer(&pointer)));
            let changed = [base, &["--set-json", &change]].concat();
            assert_ne!(plain(base), plain(&changed), "{name}: {change} changes nothing");
        }
    }
}

/// The keys of Istio's gateway chart, 1.27, but for those that configure an injected Envoy.
const OF_ISTIO: [&str; 34] = [
    "name",
    "revision",
    "replicaCount",
    "kind",
    "rbac",
    "serviceAccount",
    "podAnnotations",
    "securityContext",
    "containerSecurityContext",
    "service",
    "resources",
    "autoscaling",
    "podDisruptionBudget",
    "env",
    "envVarFrom",
    "strategy",
    "minReadySeconds",
    "readinessProbe",
    "labels",
    "annotations",
    "nodeSelector",
    "tolerations",
    "topologySpreadConstraints",
    "affinity",
    "networkGateway",
    "imagePullPolicy",
    "imagePullSecrets",
    "terminationGracePeriodSeconds",
    "volumes",
    "volumeMounts",
    "initContainers",
    "additionalContainers",
    "priorityClassName",
    "lifecycle",
];

#[test]
fn it_has_the_keys_of_istios_chart() {
    let values = yaml(&Path::new(&chart(GATEWAY_CHART)).join("values.yaml")).remove(0);
    for key in OF_ISTIO {
        assert!(values.get(key).is_some(), "values.yaml has no {key}");
    }
}

#[test]
fn schemas_describe_all_keys_and_no_others() {
    for name in CHARTS {
        let values = yaml(&Path::new(&chart(name)).join("values.yaml")).remove(0);
        let schema = std::fs::read_to_string(Path::new(&chart(name)).join("values.schema.json")).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let described = schema["properties"].as_object().unwrap();
        assert!(described.keys().eq(values.as_object().unwrap().keys()), "{name}");
    }
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    let Some(helm) = Helm::installed() else { return };
    for (wrong, said) in [
        ("kind=Pod", "at '/kind': value must be one of 'Deployment', 'DaemonSet'"),
        ("replicaCount=two", "at '/replicaCount': got string, want integer"),
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("service.type=External", "at '/service/type': value must be one of"),
        (
            "resources.requests.cpu=much",
            "at '/resources/requests/cpu': 'much' does not match pattern",
        ),
        (
            "autoscaling.maxReplicas=0",
            "at '/autoscaling/maxReplicas': minimum: got 0, want 1",
        ),
        (
            "gateway.waypointFor=everything",
            "at '/gateway/waypointFor': value must be one of",
        ),
        ("caAddress=istiod", "at '/caAddress': 'istiod' does not match pattern"),
        (
            "podDisruptionBudget.minAvailable=1,podDisruptionBudget.maxUnavailable=1",
            "at '/podDisruptionBudget'",
        ),
        ("networkGateway=network1", "a waypoint is no network gateway"),
    ] {
        let refused = rendered(&helm, GATEWAY_CHART, &["--set", wrong]).expect_err(wrong);
        assert!(refused.contains(said), "{wrong}: {refused}");
    }
    for (wrong, said) in [
        ("leaseSeconds=0", "at '/leaseSeconds': minimum: got 0, want 1"),
        ("waypoints.replicas=2", "additional properties 'replicas' not allowed"),
        (
            "waypoints.resources.limits.memory=lots",
            "at '/waypoints/resources/limits/memory'",
        ),
    ] {
        let refused = rendered(&helm, CONTROLLER_CHART, &["--set", wrong]).expect_err(wrong);
        assert!(refused.contains(said), "{wrong}: {refused}");
    }
}

#[test]
fn its_notes_say_what_to_try() {
    let Some(helm) = Helm::installed() else { return };
    let path = chart(GATEWAY_CHART);
    let done = helm.helm(&[
        "install",
        "edge",
        &path,
        "--namespace",
        "shop",
        "--dry-run=client",
        "--set",
        "kind=DaemonSet",
    ]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    for wanted in [
        "kubectl -n shop rollout status daemonset/edge",
        "patch gateway edge --subresource=status",
        "edge.shop.svc.cluster.local",
        "kubectl label namespace shop istio.io/use-waypoint=edge",
        "cluster.local/ns/shop/sa/edge",
    ] {
        assert!(said.contains(wanted), "no {wanted} in:\n{said}");
    }
}

/// The command that a container of the chart runs, with what a kubelet and this machine put into its environment.
fn command_of(container: &Value, namespace: &str, api: &KubeApi) -> Command {
    let mut command = Command::new(binary());
    command.args(
        container["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arg| arg.as_str().unwrap()),
    );
    for variable in container["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let by_field = match name {
            "POD_NAMESPACE" => namespace,
            "INSTANCE_IP" => "127.0.0.1",
            _ => "waypoint",
        };
        command.env(name, variable["value"].as_str().unwrap_or(by_field));
    }
    for listener in ["HBONE", "ADMIN", "METRICS", "READY"] {
        command.env(format!("WAYPOINT_{listener}"), "127.0.0.1:0");
    }
    command.env("KUBECONFIG", api.kubeconfig());
    command
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The same of the controller: its waypoints are as the chart's values say.
#[tokio::test]
async fn the_controller_that_it_installs_makes_waypoints() {
    let Some(helm) = Helm::installed() else { return };
    let values = format!("{}/ci/everything-values.yaml", chart(CONTROLLER_CHART));
    let installed = objects(&helm, CONTROLLER_CHART, &["--values", &values]);
    let api = KubeApi::start().await;
    api.put(of_kind(&installed, "GatewayClass"));
    api.put(named(&installed, "ClusterRoleBinding", "waypoints-waypoints"));
    let namespace = |name: &str| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    ["shop", "mesh-system"]
        .iter()
        .for_each(|name| api.put(&namespace(name)));
    api.put(
        &json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": { "name": "waypoint", "namespace": "shop" }, "spec": { "gatewayClassName": "waypoint",
            "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }] } }),
    );
    let controller = &of_kind(&installed, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let mut command = command_of(controller, "waypoint-system", &api);
    let log = tempfile::tempfile().unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let _controller = Ends(command.spawn().unwrap());
    until("the waypoint is there", async || {
        api.get("Deployment", "shop", "waypoint").is_some()
    })
    .await;
    let deployment = api.get("Deployment", "shop", "waypoint").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 90);
    let waypoint = &pod["containers"][0];
    assert_eq!(waypoint["image"], "registry.example/waypoint:1.0");
    assert_eq!(waypoint["resources"]["limits"]["memory"], "1Gi");
    let variables = waypoint["env"].as_array().unwrap();
    for (name, value) in [
        ("CA_ADDR", "istio-csr.cert-manager.svc:443"),
        ("TRUST_DOMAIN", "example.org"),
        ("ISTIO_META_CLUSTER_ID", "west"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel.telemetry:4317"),
        ("WAYPOINT_DRAIN_GRACE", "75"),
        ("WAYPOINT_ROOT_NAMESPACE", "mesh-system"),
    ] {
        assert!(
            variables.contains(&json!({ "name": name, "value": value })),
            "{name}={value}: {variables:?}"
        );
    }
    let account = json!([{ "kind": "ServiceAccount", "namespace": "shop", "name": "waypoint" }]);
    until("its account may read", async || {
        api.get("ClusterRoleBinding", "", "waypoints-waypoints")
            .is_some_and(|binding| binding["subjects"] == account)
    })
    .await;
}

/// The container's command line and environment are ones that the binary takes, and it serves with them.
#[tokio::test]
async fn the_pod_that_it_installs_serves() {
    let Some(helm) = Helm::installed() else { return };
    let mut world = MeshWorld::new();
    let echo = world.echo("reviews", "v1", Reach::Hbone).await;
    let api = KubeApi::start().await;
    api.load(world.config());
    let installed = objects(&helm, GATEWAY_CHART, &["--set", "global.istioNamespace=mesh-system"]);
    api.put(of_kind(&installed, "Gateway"));
    let mesh = json!({ "accessLogFile": "/dev/stdout" }).to_string();
    api.put(
        &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "istio", "namespace": "mesh-system" },
        "data": { "mesh": mesh } }),
    );
    let pod = &of_kind(&installed, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let mut command = command_of(pod, NAMESPACE, &api);
    command.env("WAYPOINT_CERTS", world.certs().path());
    let waypoint = Waypoint::spawn(command).await;
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
    until("MeshConfig of that namespace turns the access log on", async || {
        waypoint.stdout().iter().any(|line| line.contains("GET / HTTP/1.1"))
    })
    .await;
}
