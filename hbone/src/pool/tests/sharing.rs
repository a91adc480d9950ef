//! Many callers and few connections.

use super::*;

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_dial() {
    let bench = Bench::new();
    let pool = Arc::new(bench.pool());
    let mut tunnels = dial_many(&pool, 50).await;
    assert_eq!(pool.seen.take(), ["ok", "+1"]);
    assert_eq!(pool.pool.connections(), 1);
    for tunnel in &mut tunnels {
        works(tunnel.as_mut().unwrap()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_and_fifty_streams_need_two_connections() {
    let bench = Bench::new();
    let pool = Arc::new(bench.pool());
    let mut tunnels = dial_many(&pool, 150).await;
    assert_eq!(pool.seen.count("ok"), 2);
    for tunnel in &mut tunnels {
        works(tunnel.as_mut().unwrap()).await;
    }
    // When they end, there is room again without a third.
    drop(tunnels);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let _again = dial_many(&pool, 150).await;
    assert_eq!((pool.seen.count("ok"), pool.pool.connections()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_failed_dial_fails_for_all_who_waited_and_is_tried_anew() {
    let bench = Bench::new();
    let (server, up) = (bench.server.clone(), Arc::new(AtomicUsize::new(0)));
    let tries = Arc::clone(&up);
    let pool = Arc::new(PipePool::connecting(
        PoolConfig::default(),
        bench.ca.certs("client"),
        move |_| {
            if tries.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            }
            let (near, far) = tokio::io::duplex(64 * 1024);
            drop(server.serve(far, echo));
            Ok(near)
        },
    ));
    for dialled in dial_many(&pool, 20).await {
        let error = dialled.unwrap_err();
        assert!(
            matches!(&error, DialError::Connect { source, .. } if source.kind() == std::io::ErrorKind::ConnectionRefused),
            "{error}"
        );
    }
    assert_eq!(up.load(Ordering::SeqCst), 1);
    works(&mut pool.dial().await.unwrap()).await;
    assert_eq!(pool.seen.take(), ["connect", "ok", "+1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_goes_to_another_connection() {
    let bench = Bench::new();
    // It says 1,000 and takes two at a time.
    let pool = Arc::new(bench.pool_to_h2(PoolConfig::default(), |_, tls| async move {
        let mut connection = h2::server::Builder::new()
            .max_concurrent_streams(1000)
            .handshake::<_, Bytes>(tls)
            .await
            .unwrap();
        let mut kept = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            if kept.len() == 2 {
                respond.send_reset(Reason::REFUSED_STREAM);
            } else {
                kept.push((request, respond.send_response(Response::new(()), false).unwrap()));
            }
        }
    }));
    let tunnels = dial_many(&pool, 8).await;
    assert!(tunnels.iter().all(Result::is_ok), "{tunnels:?}");
    assert_eq!(pool.pool.connections(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_everything_is_given_up() {
    let bench = Bench::new();
    let pool = bench.pool_to_h2(PoolConfig::default(), |_, tls| async move {
        let mut connection = h2::server::handshake(tls).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_reset(Reason::REFUSED_STREAM);
        }
    });
    let error = pool.dial().await.unwrap_err();
    assert!(
        matches!(&error, DialError::Broken { reason, .. } if reason.contains("4 attempts")),
        "{error}"
    );
    assert_eq!(pool.seen.count("ok"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_takes_nothing_from_the_others() {
    let bench = Bench::new();
    let pool = Arc::new(bench.pool());
    let first = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.dial().await }
    });
    tokio::task::yield_now().await;
    let second = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.dial().await }
    });
    tokio::task::yield_now().await;
    first.abort();
    works(&mut second.await.unwrap().unwrap()).await;
    assert_eq!(pool.seen.count("ok"), 1);
}

#[tokio::test(start_paused = true)]
async fn with_all_connections_full_callers_wait_for_a_tunnel_to_end() {
    let bench = Bench::new();
    let config = PoolConfig {
        max_streams: 2,
        max_connections: 2,
        ..PoolConfig::default()
    };
    let pool = Arc::new(bench.pool_with(config, echo));
    let tunnels = dial_many(&pool, 4).await;
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { dial_many(&pool, 4).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    drop(tunnels);
    for tunnel in waiting.await.unwrap() {
        works(&mut tunnel.unwrap()).await;
    }
    assert_eq!(pool.seen.count("ok"), 2);

    // Not for ever.
    let _full = dial_many(&pool, 4).await;
    let begun = Instant::now();
    assert!(matches!(pool.dial().await.unwrap_err(), DialError::Broken { .. }));
    assert_eq!(begun.elapsed().as_secs(), 20);
}

/// A runtime of one thread is a worker of the proxy: what another thread's connection carries wakes two threads.
#[test]
fn each_runtime_has_connections_of_its_own() {
    let worker = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (one, other) = (worker(), worker());
    let bench = Bench::new();
    let pool = bench.pool();
    let dial = || async {
        let mut tunnel = pool.dial().await.unwrap();
        works(&mut tunnel).await;
        tunnel
    };
    let first = one.block_on(dial());
    let second = other.block_on(dial());
    assert_eq!(pool.pool.connections(), 2);
    let third = one.block_on(dial());
    assert_eq!(pool.pool.connections(), 2);
    // What goes, goes for all of them.
    pool.pool.retain(|_| false);
    assert_eq!(pool.pool.connections(), 0);
    drop((first, second, third));
}
