//! Who is bound to the waypoints' ClusterRole: the service accounts of all our Gateways, in one ClusterRoleBinding.
//!
//! One, because an object of the whole cluster cannot be owned by one of a namespace: a binding for each Gateway would
//! outlive it. It is installed empty, so that the controller needs no right to create bindings.

use serde_json::{Value, json};
use std::collections::BTreeSet;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The binding: its name, the ClusterRole's, and the service accounts as (namespace, name).
pub fn cluster_role_binding(name: &str, role: &str, accounts: &BTreeSet<(String, String)>) -> Value {
    let subjects = accounts
        .iter()
        .map(|(namespace, name)| json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }));
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": role },
        "subjects": subjects.collect::<Vec<_>>(),
    })
}
