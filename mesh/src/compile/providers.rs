//! Extension providers: finds the Services behind those that CUSTOM policies may ask.

use super::Report;
use super::services::Services;
use crate::kinds::extension_provider::{AuthProvider, field_of};
use crate::object::Object;
use http::HeaderValue;
use routing::{ClusterId, ExternalAuth};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Providers by name. One whose Service is not there is left out, which denies what its policies match.
pub(crate) fn resolve(
    providers: &[AuthProvider],
    object: Option<&Object>,
    services: &Services<'_>,
    report: &mut Report,
) -> BTreeMap<Arc<str>, Arc<ExternalAuth>> {
    let mut found = BTreeMap::new();
    for provider in providers {
        match find(provider, services) {
            Ok((cluster, authority)) => {
                let auth = ExternalAuth {
                    name: Arc::clone(&provider.name),
                    cluster,
                    authority,
                    check: provider.check.clone(),
                };
                found.insert(Arc::clone(&provider.name), Arc::new(auth));
            }
            Err((field, why)) => {
                if let Some(object) = object {
                    let message = format!("{why}: what its policies match is denied");
                    report.error(object, field_of(provider, field), message);
                }
            }
        }
    }
    found
}

fn find(provider: &AuthProvider, services: &Services<'_>) -> Result<(ClusterId, HeaderValue), (&'static str, String)> {
    let AuthProvider { host, port, .. } = provider;
    let named = |namespace: &str, cluster_host: &str| {
        cluster_host.eq_ignore_ascii_case(host)
            && provider.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
    };
    let mut host_is_there = false;
    for (_, entry) in services.numbered() {
        for (id, cluster) in &entry.clusters {
            if !named(&entry.object.meta.namespace, &cluster.service.host) {
                continue;
            }
            host_is_there = true;
            if cluster.port == *port {
                let authority = HeaderValue::try_from(format!("{host}:{port}"));
                return authority
                    .map(|authority| (*id, authority))
                    .map_err(|_| ("service", format!("{host} is no host")));
            }
        }
    }
    Err(if host_is_there {
        ("port", format!("Service {host} has no port {port}"))
    } else {
        (
            "service",
            format!("no Service has the host {host} (expected <name>.<namespace>.svc.cluster.local)"),
        )
    })
}
