//! What was started, and where.

use crate::demo::demo_mesh::DemoMesh;
use crate::demo::destination::PODS;
use crate::demo::ids;
use crate::demo::print::say;

pub(super) fn show(mesh: &DemoMesh) {
    say("\n   curl ──── mTLS tunnel ───▶ waypoint ──── mTLS tunnel ───▶ reviews v1 | v2\n");
    let row = |who: &str, place: String, account: &str| {
        let identity = format!("{}/ns/{}/sa/{account}", ids::TRUST_DOMAIN, ids::NAMESPACE);
        say(format!("   {who:<12}{place:<34}{identity}"));
    };
    row(
        "client",
        format!("{} → {}", mesh.port.address, ids::SERVICE_HOST),
        ids::CLIENT,
    );
    row(
        "waypoint",
        format!("{} (process {})", mesh.waypoint.hbone, mesh.waypoint.pid),
        ids::WAYPOINT,
    );
    for pod in PODS {
        row(
            &format!("reviews {}", pod.version),
            pod.hbone().to_string(),
            ids::SERVICE,
        );
    }
    say(format!(
        "   {:<12}{:<34}takes OTLP over gRPC",
        "collector", mesh.collector.address
    ));
    say(format!(
        "   {:<12}config-examples/canary, watched in {}",
        "manifests",
        mesh.config.path().display()
    ));
}
