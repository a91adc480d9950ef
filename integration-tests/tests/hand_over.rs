//! Promise: a new binary takes the sockets over (SIGQUIT) and no client is refused or cut meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::http_client::{HttpClient, get};
use integration_tests::peers::loopback::free_port;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach, Vip};
use integration_tests::peers::waiting::soon;
use integration_tests::peers::waypoint_process::{Launch, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The hand-over itself takes five seconds, then the old process drains.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn new_connections_and_open_requests_cross_it() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let dir = tempfile::tempdir().unwrap();
    let old_launch = Launch {
        addresses: Some([(); 4].map(|()| ([127, 0, 0, 1], free_port()).into())),
        ..Launch::default().arg("--upgrade-sock", dir.path().join("sock").display())
    };
    let mut new_launch = old_launch.clone();
    new_launch.args.push("--upgrade".into());
    let old = world.start_with(old_launch).await;
    let mut held = world.client(&old).http1(&echo.vip).await;
    let held = tokio::spawn(async move { held.try_send(get("/do/gate/a")).await.map(|r| r.status) });
    echo.app.gates().arrived("a", 1).await;

    // One new TLS connection after another, all through.
    let stop = Arc::new(AtomicBool::new(false));
    let (hbone, vip, stopped) = (old.hbone, echo.vip.clone(), stop.clone());
    let pki = world.pki.clone();
    let connecting = tokio::spawn(async move {
        let (mut served, mut failures) = (0, Vec::new());
        while !stopped.load(Ordering::Relaxed) && served < 5000 && failures.len() < 5 {
            let client = ClientTunnel::new(hbone, &pki, NAMESPACE, NAMESPACE, "fresh");
            match once(&client, &vip).await {
                Ok(()) => served += 1,
                Err(why) => failures.push(format!("after {served}: {why}")),
            }
        }
        (served, failures)
    });

    let (new, ()) = tokio::join!(world.start_with(new_launch), async { old.signal(Signal::Quit) });
    assert_eq!(new.hbone, old.hbone);
    echo.app.gates().open("a");
    assert_eq!(soon("the request that was open", held).await.unwrap().unwrap(), 200);
    assert!(old.exit_within(LIMIT).await.success());
    let after = new.scrape().await.sum("istio_requests_total", &[]);
    stop.store(true, Ordering::Relaxed);
    let (served, failures) = soon("the connections", connecting).await.unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    assert!(
        served > 20 && after > 0.0,
        "{served} served, {after} of them by the new process"
    );
}

async fn once(client: &ClientTunnel, vip: &Vip) -> Result<(), String> {
    let tunnel = client
        .dial(&vip.authority(), http::HeaderMap::new())
        .await
        .map_err(|e| e.to_string())?;
    let mut http = HttpClient::http1(tunnel, "echo").await.map_err(|e| e.to_string())?;
    let reply = http.try_send(get("/")).await.map_err(|e| e.to_string())?;
    if reply.status == 200 {
        Ok(())
    } else {
        Err(format!("{reply:?}"))
    }
}
