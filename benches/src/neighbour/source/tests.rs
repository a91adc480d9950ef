#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn the_source_is_told_by_its_identity() {
    let told = |id: &str| baggage(&SpiffeId::parse(id).unwrap()).unwrap();
    assert_eq!(
        told("spiffe://cluster.local/ns/shop/sa/bench"),
        "k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=bench,service.name=bench,\
         service.version=v1"
    );
}
