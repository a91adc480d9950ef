//! How connections go: GOAWAY, idleness, rotation, workloads that have gone.

use super::*;

/// A GOAWAY keeps the streams of its connection; new ones go elsewhere.
#[tokio::test(start_paused = true)]
async fn goaway_is_honoured() {
    let bench = Bench::new();
    let drains = Arc::new(Mutex::new(Vec::new()));
    let pool = PipePool::new(PoolConfig::default(), bench.ca.certs("client"), {
        let (server, drains) = (bench.server.clone(), Arc::clone(&drains));
        move |io| {
            let mut server = server.clone();
            server.drain = crate::Drain::new();
            drains.lock().unwrap().push(server.drain.clone());
            drop(server.serve(io, echo));
        }
    });
    let mut old = pool.dial().await.unwrap();
    drains.lock().unwrap()[0].start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut new = pool.dial().await.unwrap();
    assert_eq!(pool.seen.count("ok"), 2);
    works(&mut old).await;
    works(&mut new).await;
    drop(old);
    let drain = drains.lock().unwrap()[0].clone();
    assert_eq!(drain.wait(Duration::from_secs(10)).await, crate::Drained::Idle);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(pool.seen.count("-1"), 1);
    works(&mut new).await;
}

/// A one-step GOAWAY cuts the CONNECT that is under way: nothing was sent through it, so that another is safe.
#[tokio::test(start_paused = true)]
async fn a_connect_that_is_cut_is_tried_again() {
    let bench = Bench::new();
    let pool = bench.pool_to_h2(PoolConfig::default(), |index, tls| async move {
        let mut connection = h2::server::handshake(tls).await.unwrap();
        let mut kept = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            match index {
                0 => connection.abrupt_shutdown(Reason::NO_ERROR),
                1 => return,
                _ => kept.push((request, respond.send_response(Response::new(()), false).unwrap())),
            }
        }
    });
    pool.dial().await.unwrap();
    assert_eq!(pool.seen.count("ok"), 3);
    assert_eq!(pool.pool.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_close_and_busy_ones_stay() {
    let bench = Bench::new();
    let pool = bench.pool();
    let hour = PoolConfig::default().idle_timeout;
    let mut tunnel = pool.dial().await.unwrap();
    tokio::time::sleep(hour * 3).await;
    works(&mut tunnel).await;
    drop(tunnel);
    tokio::time::sleep(hour - Duration::from_secs(10)).await;
    assert_eq!(pool.pool.connections(), 1);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(pool.pool.connections(), 0);
    assert_eq!(pool.seen.take(), ["ok", "+1", "-1"]);
    assert_eq!(bench.server.seen.take(), ["ok", "+1", "-1"]);
    works(&mut pool.dial().await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_rotation_new_tunnels_show_the_new_certificate() {
    let bench = Bench::new();
    let (certs, who) = (bench.ca.certs("before"), Arc::new(Seen::default()));
    let pool = bench
        .server
        .pool(Arc::clone(&certs) as Arc<dyn CertSource>, PoolConfig::default(), {
            let who = Arc::clone(&who);
            move |connect| {
                who.push(connect.identity.service_account());
                echo(connect);
            }
        });
    let mut old = pool.dial().await.unwrap();
    certs.replace(bench.ca.identity("after"));
    let mut new = pool.dial().await.unwrap();
    assert_eq!(who.take(), ["before", "after"]);
    works(&mut old).await;
    works(&mut new).await;
    assert_eq!(pool.seen.count("-1"), 0);
    drop(old);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((pool.seen.count("-1"), pool.pool.connections()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn connections_to_workloads_that_have_gone_are_dropped() {
    let bench = Bench::new();
    let pool = bench.pool();
    drop(pool.dial().await.unwrap());
    let mut tunnel = pool.dial().await.unwrap();
    pool.pool.retain(|_| true);
    assert_eq!(pool.pool.connections(), 1);
    pool.pool.retain(|other| *other != destination("server"));
    assert_eq!(pool.pool.connections(), 0);
    works(&mut tunnel).await;
    drop(tunnel);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(pool.seen.count("-1"), 1);
}

/// A destination that is revoked is not dialled again, and what leads to it is cut.
#[tokio::test(start_paused = true)]
async fn a_destination_that_becomes_revoked_is_cut() {
    let ca = Ca::new();
    let server = SharedCerts::new(ca.numbered("server", 7).identity(&ca));
    let server = TestServer::new(server, ServerConfig::default());
    let leaf = ca.numbered("client", 1);
    let certs = SharedCerts::new(leaf.identity(&ca));
    let pool = server.pool(Arc::clone(&certs) as _, PoolConfig::default(), echo);
    let mut tunnel = pool.dial().await.unwrap();
    works(&mut tunnel).await;
    certs.replace(leaf.identity_with(&ca, &ca.crl(&[7])));
    let cut = tokio::time::timeout(Duration::from_secs(1), tunnel.read(&mut [0; 1])).await;
    assert!(!matches!(cut, Ok(Ok(1)) | Err(_)), "{cut:?}");
    assert!(matches!(pool.dial().await, Err(DialError::Tls { .. })));
}
