//! TLS towards endpoints: what BackendTLSPolicies and `tls` of DestinationRules say, with the certificates they name.
//!
//! A BackendTLSPolicy goes before a DestinationRule; of several for one target the oldest counts, and one for a port
//! before one for all. Whatever cannot be in force closes: its targets get nothing, in clear least of all.

use super::Report;
use super::clusters::Named;
use crate::kinds::Body;
use crate::kinds::backend_tls::{Authorities, BackendTls, Target, Validation};
use crate::kinds::client_tls::{ClientTls, Mode};
use crate::object::Object;
use crate::resources::Index;
use request::Workload;
use routing::{Slot, Tls, TlsIdentity, TlsRoots, TlsSan, TlsSettings};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Of a Secret: a certificate chain, its key, and authorities.
const CHAIN: &[&str] = &["tls.crt", "cert"];
const KEY: &[&str] = &["tls.key", "key"];
const AUTHORITIES: &[&str] = &["ca.crt", "cacert"];

/// What is spoken to the endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// What the port says.
    #[default]
    Plain,
    /// The same inside TLS.
    Tls(ClusterTls),
    /// Only what passes the mesh's own tunnels (ISTIO_MUTUAL).
    Tunnels,
    /// Nothing: what was asked for cannot be.
    Nothing,
}

/// TLS of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterTls {
    settings: Arc<TlsSettings>,
    /// `None`: the host itself.
    server_name: Option<Arc<str>>,
}

/// Who the endpoints are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    /// `Service` or `ServiceEntry`.
    pub(crate) kind: &'static str,
    /// Of the object.
    pub(crate) namespace: &'a str,
    /// Of the object.
    pub(crate) name: &'a str,
    /// The port's name.
    pub(crate) port: &'a str,
    /// Names that a ServiceEntry expects in certificates.
    pub(crate) sans: &'a [Box<str>],
    /// Namespace of the waypoint: its Secrets are read.
    pub(crate) waypoint: &'a str,
}

/// All BackendTLSPolicies, and what DestinationRules came to.
#[derive(Debug)]
pub(crate) struct Originations<'a, 'r> {
    index: &'a Index<'r>,
    policies: HashMap<(String, String, String), BTreeMap<Option<String>, Spoken>>,
    /// Equal blocks share their settings.
    shared: RefCell<BTreeMap<String, Spoken>>,
    /// Found while clusters were built: object, field, message, error.
    found: RefCell<Vec<(&'r Object, &'static str, String)>>,
}

impl Spoken {
    /// TLS with a host of the cluster.
    pub(crate) fn with(&self, host: &Arc<str>) -> Option<Arc<Tls>> {
        self.tls().map(|tls| tls.with(host))
    }

    /// TLS, when it is spoken.
    pub(crate) fn tls(&self) -> Option<&ClusterTls> {
        match self {
            Self::Tls(tls) => Some(tls),
            _ => None,
        }
    }

    /// Whether anything is sent to this workload.
    pub(crate) fn reaches(&self, workload: &Workload) -> bool {
        match self {
            Self::Plain | Self::Tls(_) => true,
            Self::Tunnels => workload.hbone,
            Self::Nothing => false,
        }
    }

    /// Whether anything is sent to whoever is at a name.
    pub(crate) fn reaches_names(&self) -> bool {
        matches!(self, Self::Plain | Self::Tls(_))
    }
}

impl<'n> From<&'n Named> for Of<'n> {
    fn from(named: &'n Named) -> Self {
        Self {
            kind: named.kind,
            namespace: &named.namespace,
            name: &named.object,
            port: &named.port_name,
            sans: &named.sans,
            waypoint: &named.waypoint,
        }
    }
}

impl ClusterTls {
    /// TLS with a host of the cluster.
    pub(crate) fn with(&self, host: &Arc<str>) -> Arc<Tls> {
        Arc::new(Tls {
            server_name: Arc::clone(self.server_name.as_ref().unwrap_or(host)),
            settings: Arc::clone(&self.settings),
        })
    }
}

impl<'a, 'r> Originations<'a, 'r> {
    /// Reads all BackendTLSPolicies.
    pub(crate) fn build(index: &'a Index<'r>, report: &mut Report) -> Self {
        let mut all = Self {
            index,
            policies: HashMap::new(),
            shared: RefCell::default(),
            found: RefCell::default(),
        };
        let mut objects: Vec<&'r Arc<Object>> = index.all("BackendTLSPolicy").to_vec();
        objects.sort_by_key(|object| {
            let meta = &object.meta;
            (
                meta.created.unwrap_or(i64::MAX),
                Arc::clone(&meta.namespace),
                Arc::clone(&meta.name),
            )
        });
        let mut first: HashMap<(String, String, String, Option<String>), &'r Object> = HashMap::new();
        for object in objects {
            let Body::BackendTls(policy) = &object.body else {
                continue;
            };
            let spoken = all.policy(object, policy, report);
            for target in &policy.targets {
                let Some((kind, namespace, name)) = all.target(object, target, report) else {
                    continue;
                };
                let place = (kind.clone(), namespace.clone(), name.clone(), target.section.clone());
                if let Some(older) = first.get(&place) {
                    let message = format!("{older} is older and has the same target: this one is not in force there");
                    report.error(object, format!("spec.targetRefs[{}]", target.index), message);
                    continue;
                }
                first.insert(place, object);
                let of_target = all.policies.entry((kind, namespace, name)).or_default();
                of_target.insert(target.section.clone(), spoken.clone());
            }
        }
        all
    }

    /// What is spoken to endpoints, given the block of the DestinationRule that is in force for them.
    pub(crate) fn of(&self, of: Of<'_>, rule: Option<(&'r Object, &ClientTls)>) -> Spoken {
        let key = (of.kind.to_owned(), of.namespace.to_owned(), of.name.to_owned());
        if let Some(policies) = self.policies.get(&key) {
            let of_port = policies.get(&Some(of.port.to_owned()));
            if let Some(spoken) = of_port.or_else(|| policies.get(&None)) {
                return spoken.clone();
            }
        }
        rule.map_or(Spoken::Plain, |(object, tls)| self.rule(of, object, tls))
    }

    /// Tells what was found while clusters were built.
    pub(crate) fn report(self, report: &mut Report) {
        let mut found = self.found.into_inner();
        let key = |one: &(&Object, &str, String)| (one.0.to_string(), one.1.to_owned(), one.2.clone());
        found.sort_by_key(key);
        found.dedup_by_key(|one| key(one));
        for (object, field, message) in found {
            report.error(object, field, message);
        }
    }

    /// `None`: it is no target.
    fn target(&self, object: &Object, target: &Target, report: &mut Report) -> Option<(String, String, String)> {
        let field = format!("spec.targetRefs[{}]", target.index);
        let kind = match (target.group.as_str(), target.kind.as_str()) {
            ("" | "core", "Service") => "Service",
            ("networking.istio.io", "ServiceEntry") => "ServiceEntry",
            (group, kind) => {
                let message = format!("expected a Service or a ServiceEntry, found {kind:?} of group {group:?}");
                report.warning(
                    object,
                    format!("{field}.kind"),
                    format!("{message}: it does not bind there"),
                );
                return None;
            }
        };
        let namespace = &*object.meta.namespace;
        if self.index.get(kind, namespace, &target.name).is_none() {
            let message = format!(
                "no {kind} {namespace}/{} is in the config: it does not bind there",
                target.name
            );
            report.warning(object, format!("{field}.name"), message);
        }
        Some((kind.to_owned(), namespace.to_owned(), target.name.clone()))
    }

    fn policy(&self, object: &Object, policy: &BackendTls, report: &mut Report) -> Spoken {
        let Some(validation) = &policy.validation else {
            return Spoken::Nothing;
        };
        let Some(roots) = self.authorities(object, validation, report) else {
            return Spoken::Nothing;
        };
        Spoken::Tls(ClusterTls {
            settings: Arc::new(TlsSettings {
                roots,
                sans: validation.sans.clone(),
                identity: None,
                is_verified: true,
                slot: Slot::default(),
            }),
            server_name: Some(Arc::from(&*validation.hostname)),
        })
    }

    /// `None`: there is none, which was told. One reference that leads nowhere leaves the others in force.
    fn authorities(&self, object: &Object, validation: &Validation, report: &mut Report) -> Option<TlsRoots> {
        let refs = match &validation.authorities {
            Authorities::System => return Some(TlsRoots::System),
            Authorities::Refs(refs) => refs,
        };
        let mut pem = Vec::new();
        for (kind, name) in refs {
            match self.ca_of(kind, &object.meta.namespace, name) {
                Ok(found) => {
                    pem.extend_from_slice(&found);
                    pem.push(b'\n');
                }
                Err(why) => report.error(object, "spec.validation.caCertificateRefs", why),
            }
        }
        if pem.is_empty() {
            let message = "there is no certificate authority: nothing is sent to the targets";
            report.error(object, "spec.validation.caCertificateRefs", message);
            return None;
        }
        Some(TlsRoots::Pem(Arc::from(pem)))
    }

    fn ca_of(&self, kind: &str, namespace: &str, name: &str) -> Result<Arc<[u8]>, String> {
        let object = self.index.get(kind, namespace, name);
        let found = match object.map(|object| &object.body) {
            Some(Body::ConfigMap(data)) => data.get("ca.crt").map(|text| Arc::from(text.as_bytes())),
            Some(Body::Secret(secret)) => secret.first(&["ca.crt"]),
            _ => return Err(format!("no {kind} {namespace}/{name} is in the config")),
        };
        let found: Arc<[u8]> = found.ok_or_else(|| format!("{kind} {namespace}/{name} has no key ca.crt"))?;
        certificates(found).ok_or_else(|| format!("ca.crt of {kind} {namespace}/{name} holds no certificate in PEM"))
    }

    fn rule(&self, of: Of<'_>, object: &'r Object, tls: &ClientTls) -> Spoken {
        if tls.is_broken {
            return Spoken::Nothing;
        }
        match tls.mode {
            Mode::Disable => return Spoken::Plain,
            Mode::IstioMutual => return Spoken::Tunnels,
            Mode::Simple | Mode::Mutual => {}
        }
        let named: &[Box<str>] = if tls.sans.is_empty() { of.sans } else { &tls.sans };
        let key = format!("{} {tls:?} {named:?}", of.waypoint);
        if let Some(known) = self.shared.borrow().get(&key) {
            return known.clone();
        }
        let spoken = match self.settings(of.waypoint, tls, named) {
            Ok(settings) => Spoken::Tls(ClusterTls {
                settings: Arc::new(settings),
                server_name: tls.sni.as_deref().map(|sni| Arc::from(sni.to_ascii_lowercase())),
            }),
            Err(why) => {
                let message = format!("{why}: nothing is sent to this host");
                let field = "spec.trafficPolicy.tls.credentialName";
                self.found.borrow_mut().push((object, field, message));
                Spoken::Nothing
            }
        };
        self.shared.borrow_mut().insert(key, spoken.clone());
        spoken
    }

    fn settings(&self, waypoint: &str, tls: &ClientTls, named: &[Box<str>]) -> Result<TlsSettings, String> {
        let (mut roots, mut identity) = (TlsRoots::System, None);
        if let Some(name) = tls.credential.as_deref() {
            let secret = |name: &str| match self.index.get("Secret", waypoint, name).map(|object| &object.body) {
                Some(Body::Secret(secret)) => Some(secret),
                _ => None,
            };
            let own = secret(name).ok_or_else(|| format!("no Secret {waypoint}/{name} is in the config"))?;
            let beside = secret(&format!("{name}-cacert"));
            let authorities = own.first(AUTHORITIES).or_else(|| beside?.first(AUTHORITIES));
            let authorities = authorities.ok_or_else(|| format!("Secret {waypoint}/{name} has no key ca.crt"))?;
            let authorities = certificates(authorities)
                .ok_or_else(|| format!("ca.crt of Secret {waypoint}/{name} holds no certificate in PEM"))?;
            roots = TlsRoots::Pem(authorities);
            if tls.mode == Mode::Mutual {
                let missing = |what: &str| format!("Secret {waypoint}/{name} has no key {what}");
                identity = Some(TlsIdentity {
                    chain: own.first(CHAIN).ok_or_else(|| missing("tls.crt"))?,
                    key: own.first(KEY).ok_or_else(|| missing("tls.key"))?,
                });
            }
        }
        let sans = named.iter().map(|name| match name.contains("://") {
            true => TlsSan::Uri(name.clone()),
            false => TlsSan::Dns(Box::from(name.to_ascii_lowercase())),
        });
        Ok(TlsSettings {
            roots,
            sans: sans.collect(),
            identity,
            is_verified: !tls.skips_verification,
            slot: Slot::default(),
        })
    }
}

/// What is in it is checked where it is used; that it is PEM at all is checked here.
fn certificates(pem: Arc<[u8]>) -> Option<Arc<[u8]>> {
    let begin = b"-----BEGIN CERTIFICATE-----";
    pem.windows(begin.len()).any(|window| window == begin).then_some(pem)
}
