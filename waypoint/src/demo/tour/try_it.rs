//! What to try by hand.

use crate::demo::demo_mesh::DemoMesh;
use crate::demo::load::PATH;
use crate::demo::print::say;

/// Lines for the shell, while the mesh runs.
pub(in crate::demo) fn try_it(mesh: &DemoMesh) {
    let local = format!("http://{}", mesh.port.address);
    let route = mesh.config.route();
    say("\nTry it\n");
    for (command, what) in [
        (
            format!("for i in $(seq 100); do curl -s {local}{PATH}; done | sort | uniq -c"),
            "the weights",
        ),
        (
            format!(
                "sed -i.bak '/reviews-v1/,/weight/s/weight: .*/weight: 0/' {}",
                route.display()
            ),
            "nothing for v1 any more; then count again",
        ),
        (format!("curl -i {local}/admin/users"), "403: 20-deny.yaml"),
        (
            format!("curl -i --path-as-is {local}/x/../admin/users"),
            "403: paths are normalised first",
        ),
        (
            format!("curl -i -H 'Authorization: Bearer nonsense' {local}{PATH}"),
            "401: 30-jwt.yaml",
        ),
        (
            format!(
                "curl -s http://{}/stats/prometheus | grep ^istio_",
                mesh.waypoint.metrics
            ),
            "Istio's metrics",
        ),
        (
            format!(
                "waypoint-bench load --service {} --host reviews:9080 --path {PATH} --metrics {}",
                mesh.port.address, mesh.waypoint.metrics
            ),
            "a load, and what the waypoint takes for it",
        ),
        (
            format!("curl -s http://{}/config_dump", mesh.waypoint.admin),
            "the config in force",
        ),
    ] {
        say(format!("   # {what}\n   {command}"));
    }
}
