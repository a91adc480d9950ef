//! What binds where.

use super::world::{GATEWAY, World, compile, compile_by, service};
use crate::{Compiler, Scope};
use std::sync::Arc;

fn policy(namespace: &str, name: &str, target: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{action: DENY, {target} rules: [{{}}]}}\n"
    )
}

const GATEWAY_REF: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}";
const CLASS_REF: &str = "{group: gateway.networking.k8s.io, kind: GatewayClass, name: istio-waypoint}";
const SERVICE_REF: &str = "{group: '', kind: Service, name: reviews}";

fn mesh(policies: &str) -> World {
    let services = service("shop", "reviews", "10.0.0.1", "") + &service("shop", "ratings", "10.0.0.2", "");
    compile(&format!("{GATEWAY}{services}{policies}"))
}

/// Whether the policy binds to reviews, and to ratings.
fn binds(namespace: &str, target: &str) -> (bool, bool) {
    let world = mesh(&policy(namespace, "p", target));
    let bound = |authority: &str| !world.port(authority).unwrap().policies.is_empty();
    (bound("10.0.0.1:80"), bound("10.0.0.2:80"))
}

#[test]
fn target_refs_bind() {
    for (namespace, target, want) in [
        ("shop", format!("targetRefs: [{SERVICE_REF}],"), (true, false)),
        ("shop", format!("targetRef: {SERVICE_REF},"), (true, false)),
        (
            "shop",
            "targetRefs: [{group: core, kind: Service, name: reviews}],".to_owned(),
            (true, false),
        ),
        ("shop", format!("targetRefs: [{GATEWAY_REF}],"), (true, true)),
        (
            "shop",
            format!("targetRefs: [{{kind: Service, name: gone}}, {GATEWAY_REF}],"),
            (true, true),
        ),
        ("istio-system", format!("targetRefs: [{CLASS_REF}],"), (true, true)),
        // What does not.
        ("shop", format!("targetRefs: [{CLASS_REF}],"), (false, false)),
        ("other", format!("targetRefs: [{SERVICE_REF}],"), (false, false)),
        ("other", format!("targetRefs: [{GATEWAY_REF}],"), (false, false)),
        (
            "other",
            "targetRefs: [{kind: Service, name: reviews, namespace: shop}],".to_owned(),
            (false, false),
        ),
        (
            "shop",
            "targetRefs: [{group: networking.istio.io, kind: ServiceEntry, name: reviews}],".to_owned(),
            (false, false),
        ),
        (
            "shop",
            "selector: {matchLabels: {app: reviews}},".to_owned(),
            (false, false),
        ),
        ("shop", String::new(), (false, false)),
        ("istio-system", String::new(), (false, false)),
    ] {
        assert_eq!(binds(namespace, &target), want, "{namespace} {target}");
    }
}

#[test]
fn what_does_not_bind_is_told() {
    for target in [
        "",
        "selector: {matchLabels: {a: b}},",
        "targetRefs: [{kind: Service, name: gone}],",
    ] {
        let world = mesh(&policy("shop", "p", target));
        assert_eq!(world.findings.len(), 1, "{target}: {:?}", world.findings);
    }
}

#[test]
fn a_policy_that_is_malformed_denies_what_it_binds_to() {
    for rules in [
        "action: DENIED, rules: [{}]",
        "rules: nonsense",
        "action: ALLOW, rules: [{from: 7}]",
    ] {
        let text = policy("shop", "p", &format!("targetRefs: [{SERVICE_REF}],"));
        let text = text.replace("action: DENY,", "").replace("rules: [{}]", rules);
        let world = mesh(&text);
        assert!(!world.errors().is_empty(), "{rules}");
        let port = world.port("10.0.0.1:80").unwrap();
        let connection = request::Connection {
            identity: None,
            source_ip: [10, 0, 0, 1].into(),
            destination_ip: None,
            destination_port: 80,
            sni: None,
        };
        assert_eq!(
            port.policies.decide_tcp(&connection).verdict,
            authz::Verdict::Deny,
            "{rules}"
        );
    }
}

#[test]
fn unchanged_policies_stay_the_same() {
    let mut compiler = Compiler::new(Scope::default());
    let text = |more: &str| {
        format!(
            "{GATEWAY}{}{}{}{more}",
            service("shop", "reviews", "10.0.0.1", ""),
            policy("shop", "p", &format!("targetRefs: [{SERVICE_REF}],")),
            "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt, namespace: shop}\n\
             spec: {targetRefs: [{kind: Service, name: reviews}], jwtRules: [{issuer: me, jwksUri: 'https://keys.example/a?secret=x'}]}\n"
        )
    };
    let before = compile_by(&mut compiler, &text(""));
    let after = compile_by(&mut compiler, &text(&service("shop", "another", "10.0.0.3", "")));
    let (before_port, after_port) = (before.port("10.0.0.1:80").unwrap(), after.port("10.0.0.1:80").unwrap());
    assert!(Arc::ptr_eq(&before_port.authn, &after_port.authn));
    assert!(Arc::ptr_eq(&before_port.policies, &after_port.policies));
    assert_eq!(after.snapshot.key_sources().len(), 1);
    assert!(!after.snapshot.dump(0).to_string().contains("secret"));
    let changed = compile_by(&mut compiler, &text("").replace("issuer: me", "issuer: you"));
    assert!(!Arc::ptr_eq(
        &changed.port("10.0.0.1:80").unwrap().authn,
        &after_port.authn
    ));
}

#[test]
fn another_trust_domain_judges_anew() {
    let mut compiler = Compiler::new(Scope::default());
    let allow = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\n\
        spec: {targetRefs: [{kind: Service, name: reviews}], rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]}\n";
    let config = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
        data: {mesh: 'trustDomain: td1'}\n";
    let base = format!("{GATEWAY}{}{allow}", service("shop", "reviews", "10.0.0.1", ""));
    let connection = request::Connection {
        identity: Some(request::SpiffeId::of("td1", "shop", "web").unwrap()),
        source_ip: [10, 0, 0, 1].into(),
        destination_ip: None,
        destination_port: 80,
        sni: None,
    };
    for (text, want) in [
        (base.clone(), authz::Verdict::Deny),
        (base + config, authz::Verdict::Allow),
    ] {
        let world = compile_by(&mut compiler, &text);
        let verdict = world
            .port("10.0.0.1:80")
            .unwrap()
            .policies
            .decide_tcp(&connection)
            .verdict;
        assert_eq!(verdict, want);
    }
}

/// MeshConfig with these providers of the Service authz, gRPC each.
fn providers(names: &[&str]) -> String {
    let list = names.iter().map(|name| {
        format!("{{name: {name}, envoyExtAuthzGrpc: {{service: authz.shop.svc.cluster.local, port: 80}}}}")
    });
    let list = list.collect::<Vec<_>>().join(", ");
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
         data: {{mesh: 'extensionProviders: [{list}]'}}\n{}",
        service("shop", "authz", "10.0.0.9", "")
    )
}

fn custom(name: &str, provider: &str) -> String {
    let target = format!("targetRefs: [{SERVICE_REF}], provider: {{name: {provider}}},");
    policy("shop", name, &target).replace("action: DENY", "action: CUSTOM")
}

/// Who is asked about a connection to reviews.
fn asked(world: &World) -> Vec<Option<String>> {
    let port = world.port("10.0.0.1:80").unwrap();
    let connection = request::Connection {
        identity: None,
        source_ip: [10, 0, 0, 1].into(),
        destination_ip: None,
        destination_port: 80,
        sni: None,
    };
    let names = port
        .policies
        .asks_tcp(&connection)
        .map(|ask| ask.provider.map(ToString::to_string));
    names.collect()
}

#[test]
fn custom_policies_ask_providers_that_are_found_by_the_host_of_their_service() {
    let world = mesh(&(providers(&["p", "q"]) + &custom("one", "p") + &custom("two", "p")));
    assert_eq!(world.findings, []);
    assert_eq!(asked(&world), [Some("p".to_owned())]);
    let provider = &world.snapshot.settings.auth_providers["p"];
    let cluster = world.snapshot.cluster(provider.cluster).unwrap();
    assert_eq!(&*cluster.service.host, "authz.shop.svc.cluster.local");
    assert_eq!(provider.authority, "authz.shop.svc.cluster.local:80");
    assert_eq!(provider.check.timeout.as_secs(), 600, "Istio's default");
    assert_eq!(provider.check.status_on_error, 403);
    assert!(!provider.check.fail_open);
}

#[test]
fn several_providers_of_one_service_need_the_flag() {
    let text = providers(&["p", "q"]) + &custom("one", "p") + &custom("two", "q");
    let world = mesh(&text);
    assert_eq!(world.errors().len(), 2, "{:?}", world.errors());
    assert_eq!(asked(&world), [None, None]);
    let scope = Scope {
        several_auth_providers: true,
        ..Scope::default()
    };
    let services = service("shop", "reviews", "10.0.0.1", "");
    let world = compile_by(&mut Compiler::new(scope), &format!("{GATEWAY}{services}{text}"));
    assert_eq!(world.findings, []);
    assert_eq!(asked(&world), [Some("p".to_owned()), Some("q".to_owned())]);
}

#[test]
fn a_provider_that_is_not_there_is_told_and_still_asked_for() {
    let world = mesh(&custom("one", "nobody"));
    assert_eq!(
        (world.errors().len(), world.warnings().len()),
        (0, 1),
        "{:?}",
        world.findings
    );
    assert_eq!(asked(&world), [Some("nobody".to_owned())]);
    assert!(world.snapshot.settings.auth_providers.is_empty());
}
