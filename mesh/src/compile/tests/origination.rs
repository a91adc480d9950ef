//! What is spoken to endpoints: BackendTLSPolicies and `tls` of DestinationRules.

use super::world::{GATEWAY, World, compile, pod, service};
use routing::{Endpoint, Tls, TlsRoots, TlsSan};
use std::sync::Arc;

const PEM: &str = "-----BEGIN CERTIFICATE-----";

fn ext(more: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: ext, namespace: shop}}\n\
         spec: {{hosts: [a.example.com], resolution: STATIC, endpoints: [{{address: 192.0.2.1}}], \
         ports: [{{name: http, number: 80, protocol: HTTP, targetPort: 443}}], {more}}}\n"
    )
}

fn rule(host: &str, tls: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: rule, namespace: shop}}\n\
         spec: {{host: {host}, trafficPolicy: {{tls: {{{tls}}}}}}}\n"
    )
}

/// `created` is a year; `target` and `validation` are YAML in flow style.
fn policy(name: &str, created: u16, target: &str, validation: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\n\
         metadata: {{name: {name}, namespace: shop, creationTimestamp: '{created}-01-01T00:00:00Z'}}\n\
         spec: {{targetRefs: [{target}], validation: {validation}}}\n"
    )
}

fn ca(kind: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: ca, namespace: shop}}\n{}: {{ca.crt: '{PEM}'}}\n",
        if kind == "Secret" { "stringData" } else { "data" }
    )
}

fn secret(keys: &[&str]) -> String {
    let data: Vec<String> = keys.iter().map(|key| format!("{key}: '{PEM}'")).collect();
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: partner, namespace: shop}}\nstringData: {{{}}}\n",
        data.join(", ")
    )
}

fn endpoints(world: &World, authority: &str) -> Vec<Arc<Endpoint>> {
    world.own_cluster(authority).endpoints.clone()
}

/// The TLS of the only endpoint.
fn tls(world: &World, authority: &str) -> Option<Arc<Tls>> {
    let endpoints = endpoints(world, authority);
    assert_eq!(endpoints.len(), 1, "{:?}", world.errors());
    endpoints[0].tls.clone()
}

const REFS: &str = "{hostname: Web.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}";

#[test]
fn a_backend_tls_policy_says_who_must_be_there() {
    let web = format!(
        "{GATEWAY}{}{}",
        service("shop", "web", "10.0.0.1", ""),
        pod("shop", "p", "web", "10.1.0.1")
    );
    let target = "{group: '', kind: Service, name: web}";
    for kind in ["ConfigMap", "Secret"] {
        let refs = REFS.replace("ConfigMap", kind);
        let world = compile(&format!("{web}{}{}", ca(kind), policy("p", 2026, target, &refs)));
        assert_eq!(world.errors(), [""; 0]);
        let tls = tls(&world, "10.0.0.1:80").unwrap();
        assert_eq!(&*tls.server_name, "web.example.com");
        let TlsRoots::Pem(pem) = &tls.settings.roots else {
            panic!("{tls:?}")
        };
        assert!(pem.starts_with(PEM.as_bytes()));
        assert!(tls.settings.is_verified && tls.settings.sans.is_empty() && tls.settings.identity.is_none());
    }
    let sans = "{hostname: web.example.com, wellKnownCACertificates: System, subjectAltNames: \
        [{type: Hostname, hostname: In.example.com}, {type: URI, uri: 'spiffe://x/y'}]}";
    let world = compile(&format!("{web}{}", policy("p", 2026, target, sans)));
    let tls = tls(&world, "10.0.0.1:80").unwrap();
    assert_eq!(tls.settings.roots, TlsRoots::System);
    let want = [TlsSan::Dns("in.example.com".into()), TlsSan::Uri("spiffe://x/y".into())];
    assert_eq!(tls.settings.sans, want);
}

#[test]
fn the_oldest_counts_and_one_for_a_port_before_one_for_all() {
    let target = "{group: networking.istio.io, kind: ServiceEntry, name: ext}";
    let of = |hostname: &str| format!("{{hostname: {hostname}, wellKnownCACertificates: System}}");
    let both = format!(
        "{GATEWAY}{}{}{}",
        ext(""),
        policy("young", 2026, target, &of("young")),
        policy("old", 2020, target, &of("old"))
    );
    let world = compile(&both);
    assert_eq!(&*tls(&world, "a.example.com:80").unwrap().server_name, "old");
    assert_eq!(world.errors().len(), 1, "the other is told: {:?}", world.errors());
    let section = target.replace("name: ext", "name: ext, sectionName: http");
    let world = compile(&format!("{both}{}", policy("port", 2027, &section, &of("port"))));
    assert_eq!(&*tls(&world, "a.example.com:80").unwrap().server_name, "port");
    let other = target.replace("name: ext", "name: ext, sectionName: other");
    let world = compile(&format!(
        "{GATEWAY}{}{}",
        ext(""),
        policy("port", 2027, &other, &of("port"))
    ));
    assert!(tls(&world, "a.example.com:80").is_none());
}

#[test]
fn what_cannot_be_checked_gets_nothing() {
    let target = "{group: networking.istio.io, kind: ServiceEntry, name: ext}";
    for validation in [
        REFS,
        "{hostname: a.example.com}",
        "{hostname: '*.example.com', wellKnownCACertificates: System}",
        "{wellKnownCACertificates: System}",
        "{hostname: a.example.com, wellKnownCACertificates: Others}",
        "{hostname: a.example.com, wellKnownCACertificates: System, subjectAltNames: [{type: Odd}]}",
        "{hostname: a.example.com, caCertificateRefs: [{group: '', kind: Pod, name: ca}]}",
    ] {
        let world = compile(&format!(
            "{GATEWAY}{}{}",
            ext(""),
            policy("p", 2026, target, validation)
        ));
        assert_eq!(endpoints(&world, "a.example.com:80").len(), 0, "{validation}");
        assert!(!world.errors().is_empty(), "{validation}");
    }
    for block in [
        "mode: SIMPLE, credentialName: nobody",
        "mode: MUTUAL",
        "mode: SIMPLE, caCertificates: /etc/ca.pem",
        "mode: NONSENSE",
    ] {
        let world = compile(&format!("{GATEWAY}{}{}", ext(""), rule("a.example.com", block)));
        assert_eq!(endpoints(&world, "a.example.com:80").len(), 0, "{block}");
        assert!(!world.errors().is_empty(), "{block}");
    }
}

#[test]
fn a_destination_rule_originates_tls() {
    let all = secret(&["ca.crt", "tls.crt", "tls.key"]);
    let old = secret(&["cacert", "cert", "key"]);
    for (block, secret, name, is_mutual, is_system) in [
        ("mode: SIMPLE", "", "a.example.com", false, true),
        (
            "mode: SIMPLE, sni: Other.example.com",
            "",
            "other.example.com",
            false,
            true,
        ),
        ("mode: SIMPLE, caCertificates: system", "", "a.example.com", false, true),
        (
            "mode: SIMPLE, credentialName: partner",
            &*all,
            "a.example.com",
            false,
            false,
        ),
        (
            "mode: MUTUAL, credentialName: partner",
            &*all,
            "a.example.com",
            true,
            false,
        ),
        (
            "mode: MUTUAL, credentialName: partner",
            &*old,
            "a.example.com",
            true,
            false,
        ),
    ] {
        let world = compile(&format!("{GATEWAY}{}{secret}{}", ext(""), rule("a.example.com", block)));
        assert_eq!(world.errors(), [""; 0], "{block}");
        let tls = tls(&world, "a.example.com:80").unwrap();
        assert_eq!(&*tls.server_name, name, "{block}");
        let settings = &tls.settings;
        let found = (settings.identity.is_some(), settings.roots == TlsRoots::System);
        assert_eq!(found, (is_mutual, is_system), "{block}");
    }
    let world = compile(&format!(
        "{GATEWAY}{}{}",
        ext("subjectAltNames: ['spiffe://x/y', B.example.com]"),
        rule("a.example.com", "mode: SIMPLE")
    ));
    let want = [TlsSan::Uri("spiffe://x/y".into()), TlsSan::Dns("b.example.com".into())];
    assert_eq!(tls(&world, "a.example.com:80").unwrap().settings.sans, want);
    let skips = rule("a.example.com", "mode: SIMPLE, insecureSkipVerify: true");
    let world = compile(&format!("{GATEWAY}{}{skips}", ext("")));
    assert!(!tls(&world, "a.example.com:80").unwrap().settings.is_verified);
    assert_eq!(world.warnings().len(), 1);
}

#[test]
fn disable_is_clear_and_istio_mutual_is_the_tunnel() {
    let world = compile(&format!(
        "{GATEWAY}{}{}",
        ext(""),
        rule("a.example.com", "mode: DISABLE")
    ));
    assert!(tls(&world, "a.example.com:80").is_none());
    let inside = pod("shop", "in", "web", "10.1.0.1");
    let outside = pod("shop", "out", "web", "10.1.0.2").replace("enabled", "disabled");
    let world = compile(&format!(
        "{GATEWAY}{}{inside}{outside}{}",
        service("shop", "web", "10.0.0.1", ""),
        rule("web.shop.svc.cluster.local", "mode: ISTIO_MUTUAL")
    ));
    let reached: Vec<String> = endpoints(&world, "10.0.0.1:80")
        .iter()
        .map(|one| one.workload.pod.clone())
        .collect();
    assert_eq!(reached, ["in"]);
}

#[test]
fn keys_are_not_printed() {
    let block = "mode: MUTUAL, credentialName: partner";
    let world = compile(&format!(
        "{GATEWAY}{}{}{}",
        ext(""),
        secret(&["ca.crt", "tls.crt", "tls.key"]),
        rule("a.example.com", block)
    ));
    let tls = tls(&world, "a.example.com:80").unwrap();
    let identity = tls.settings.identity.as_ref().unwrap();
    assert_eq!(format!("{identity:?}"), "TlsIdentity");
    assert!(!world.snapshot.dump(0).to_string().contains("BEGIN"));
}
