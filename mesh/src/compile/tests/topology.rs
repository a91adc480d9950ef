//! What annotations of a Gateway say of clients and of proxies before it.

use super::world::{World, compile};
use crate::{ClientCert, Topology};

/// A waypoint whose Gateway and class have these annotations, in flow style.
fn annotated(gateway: &str, class: &str) -> World {
    compile(&format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n\
         metadata: {{name: istio-waypoint, annotations: {{{class}}}}}\nspec: {{controllerName: istio.io/mesh-controller}}\n\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{name: waypoint, namespace: shop, annotations: {{{gateway}}}}}\n\
         spec: {{gatewayClassName: istio-waypoint, listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]}}\n"
    ))
}

fn topology(gateway: &str, class: &str) -> Topology {
    let world = annotated(gateway, class);
    assert!(world.findings.is_empty(), "{:?}", world.findings);
    world.snapshot.settings.topology
}

const YES: &str = "ambient.istio.io/xfcc-include-client-identity: 'true'";
const NO: &str = "ambient.istio.io/xfcc-include-client-identity: 'false'";

#[test]
fn the_gateway_goes_before_its_class() {
    for (gateway, class, expected) in [
        ("", "", ClientCert::Remove),
        (YES, "", ClientCert::Set),
        ("", YES, ClientCert::Set),
        (NO, YES, ClientCert::Remove),
        (YES, NO, ClientCert::Set),
    ] {
        assert_eq!(topology(gateway, class).client_cert, expected, "{gateway} {class}");
    }
}

#[test]
fn proxy_config_speaks_the_words_of_gateways() {
    for (word, expected) in [
        ("SANITIZE", ClientCert::Remove),
        ("FORWARD_ONLY", ClientCert::Forward),
        ("ALWAYS_FORWARD_ONLY", ClientCert::Forward),
        ("APPEND_FORWARD", ClientCert::Append),
        ("SANITIZE_SET", ClientCert::Set),
    ] {
        let config = format!(
            "proxy.istio.io/config: '{{\"gatewayTopology\": {{\"numTrustedProxies\": 2, \
             \"forwardClientCertDetails\": \"{word}\"}}}}'"
        );
        let expected = Topology {
            trusted_proxies: 2,
            client_cert: expected,
            ..Topology::default()
        };
        assert_eq!(topology(&config, ""), expected);
    }
    assert_eq!(
        topology("proxy.istio.io/config: 'concurrency: 2'", ""),
        Topology::default()
    );
}

#[test]
fn headers_that_tell_the_address_are_a_list() {
    for (gateway, class, expected) in [
        ("", "", (false, false)),
        ("x-forwarded-for", "forwarded", (true, false)),
        ("", "Forwarded", (false, true)),
        ("forwarded, X-Forwarded-For,", "", (true, true)),
    ] {
        let annotation = |list: &str| match list {
            "" => String::new(),
            list => format!("waypoint-proxy.io/tell-client-address: '{list}'"),
        };
        let found = topology(&annotation(gateway), &annotation(class));
        assert_eq!(
            (found.tell_forwarded_for, found.tell_forwarded),
            expected,
            "{gateway} {class}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_told_and_trusts_nobody() {
    for (annotation, word) in [
        ("proxy.istio.io/config: '{'", "line"),
        (
            "proxy.istio.io/config: 'gatewayTopology: {numTrustedProxies: -1}'",
            "0 to 100",
        ),
        (
            "proxy.istio.io/config: 'gatewayTopology: {numTrustedProxies: 1000}'",
            "0 to 100",
        ),
        (
            "proxy.istio.io/config: 'gatewayTopology: {forwardClientCertDetails: ALL}'",
            "SANITIZE is in force",
        ),
        ("ambient.istio.io/xfcc-include-client-identity: 'yes'", "does not count"),
        ("waypoint-proxy.io/tell-client-address: 'via'", "does not count"),
    ] {
        let world = annotated(annotation, "");
        let told = [world.errors(), world.warnings()].concat();
        assert!(told.iter().any(|told| told.contains(word)), "{annotation}: {told:?}");
        assert!(told[0].starts_with("metadata.annotations["), "{told:?}");
        assert_eq!(world.snapshot.settings.topology, Topology::default(), "{annotation}");
    }
}
