//! Who is at the other end, and what it answers.

use super::*;

/// The wrong workload gets our certificate and nothing else: not a byte of HTTP/2.
#[tokio::test(start_paused = true)]
async fn the_wrong_workload_is_refused_before_anything_is_said() {
    let bench = Bench::new();
    let heard = Arc::new(Mutex::new(None));
    let pool = bench.pool_to_h2(PoolConfig::default(), {
        let heard = Arc::clone(&heard);
        move |_, mut tls| {
            let heard = Arc::clone(&heard);
            async move {
                let mut said = Vec::new();
                let _ = tls.read_to_end(&mut said).await;
                *heard.lock().unwrap() = Some(said);
            }
        }
    });
    let error = pool.dial_as("serve").await.unwrap_err();
    assert!(
        matches!(&error, DialError::Identity { expected, found, .. }
            if expected.as_str() == id("serve") && found.as_str() == id("server")),
        "{error}"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(heard.lock().unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(pool.seen.take(), ["identity"]);
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_not_of_the_mesh_are_refused() {
    let ca = Ca::new();
    let foreign = Ca::new().leaf(&id("server"), |_| {});
    let expired = ca.leaf(&id("server"), |params| {
        params.not_after = time::OffsetDateTime::now_utc() - time::Duration::HOUR;
    });
    let client_only = ca.leaf(&id("server"), |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    for leaf in [foreign, expired, client_only] {
        let server = TestServer::new(SharedCerts::new(leaf.identity(&ca)), ServerConfig::default());
        let pool = server.pool(ca.certs("client"), PoolConfig::default(), |_| panic!("no CONNECT"));
        let error = pool.dial().await.unwrap_err();
        assert!(matches!(error, DialError::Tls { .. }), "{error}");
        assert_eq!(pool.seen.take(), ["tls"]);
    }
    // And the other way round: TLS 1.3 tells the client only after its handshake.
    let server = TestServer::new(ca.certs("server"), ServerConfig::default());
    let stranger = Ca::new().leaf(&id("client"), |_| {}).identity(&ca);
    let pool = server.pool(SharedCerts::new(stranger), PoolConfig::default(), echo);
    assert!(matches!(pool.dial().await.unwrap_err(), DialError::Tls { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_keeps_the_connection() {
    let bench = Bench::new();
    let pool = bench.pool_with(PoolConfig::default(), |connect| {
        connect.refuse(StatusCode::SERVICE_UNAVAILABLE)
    });
    for _ in 0..3 {
        let error = pool.dial().await.unwrap_err();
        assert!(
            matches!(&error, DialError::Refused { status: 503, authority } if authority == "10.0.0.1:80"),
            "{error}"
        );
    }
    assert_eq!(pool.seen.take(), ["ok", "+1", "refused", "refused", "refused"]);
}

#[tokio::test(start_paused = true)]
async fn silence_has_limits() {
    let bench = Bench::new();
    let begun = Instant::now();
    let kept = Mutex::new(Vec::new());
    let pool = PipePool::new(PoolConfig::default(), bench.ca.certs("client"), move |io| {
        kept.lock().unwrap().push(io)
    });
    assert!(matches!(pool.dial().await.unwrap_err(), DialError::Tls { .. }));
    assert_eq!(
        (begun.elapsed().as_secs(), pool.seen.take()),
        (10, vec!["timeout".to_owned()])
    );

    // TLS and no SETTINGS.
    let pool = bench.pool_to_h2(PoolConfig::default(), |_, tls| async move {
        tokio::time::sleep(Duration::from_secs(1000)).await;
        drop(tls);
    });
    let begun = Instant::now();
    assert!(matches!(pool.dial().await.unwrap_err(), DialError::Tls { .. }));
    assert_eq!(
        (begun.elapsed().as_secs(), pool.seen.take()),
        (10, vec!["timeout".to_owned()])
    );

    // A CONNECT that nobody answers. Its slot is free afterwards.
    let held = Arc::new(Mutex::new(Vec::new()));
    let pool = bench.pool_with(
        PoolConfig {
            max_streams: 1,
            max_connections: 1,
            ..PoolConfig::default()
        },
        {
            let held = Arc::clone(&held);
            move |connect| {
                let mut held = held.lock().unwrap();
                if held.is_empty() {
                    held.push(connect)
                } else {
                    echo(connect)
                }
            }
        },
    );
    let begun = Instant::now();
    assert!(matches!(pool.dial().await.unwrap_err(), DialError::Broken { .. }));
    assert_eq!(begun.elapsed().as_secs(), 15);
    works(&mut pool.dial().await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_noticed_by_its_silence() {
    let bench = Bench::new();
    let serving = Arc::new(Mutex::new(Vec::new()));
    let pool = bench.pool_to_h2(PoolConfig::default(), {
        let serving = Arc::clone(&serving);
        move |_, tls| {
            let serving = Arc::clone(&serving);
            async move {
                let mut connection = h2::server::handshake(tls).await.unwrap();
                let (request, mut respond) = connection.accept().await.unwrap().unwrap();
                let body = respond.send_response(Response::new(()), false).unwrap();
                // One more turn for the answer to leave, then nothing moves, and nothing is closed.
                let _ = tokio::time::timeout(Duration::from_millis(10), connection.accept()).await;
                serving.lock().unwrap().push((connection, request, body));
            }
        }
    });
    let mut tunnel = pool.dial().await.unwrap();
    let begun = Instant::now();
    assert!(tunnel.read(&mut [0; 1]).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert_eq!(pool.pool.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn headers_go_along_but_never_a_trace() {
    let bench = Bench::new();
    let headers = Arc::new(Mutex::new(HeaderMap::new()));
    let pool = bench.pool_with(PoolConfig::default(), {
        let headers = Arc::clone(&headers);
        move |connect| {
            *headers.lock().unwrap() = connect.headers.clone();
            echo(connect);
        }
    });
    let mut sent = HeaderMap::new();
    for name in [
        "baggage",
        "forwarded",
        "traceparent",
        "tracestate",
        "connection",
        "host",
    ] {
        sent.insert(name, "k=v".parse().unwrap());
    }
    pool.pool
        .dial(&destination("server"), "10.0.0.1:80", sent)
        .await
        .unwrap();
    let mut got: Vec<_> = headers.lock().unwrap().keys().map(|name| name.to_string()).collect();
    got.sort();
    assert_eq!(got, ["baggage", "forwarded"]);
    for bad in ["", "10.0.0.1:80/x", "a b:80"] {
        let dialled = pool.pool.dial(&destination("server"), bad, HeaderMap::new()).await;
        assert!(matches!(dialled, Err(DialError::Broken { .. })), "{bad}");
    }
}

#[test]
fn the_name_for_tls_sends_no_sni() {
    let config = Ca::new().identity("client").client;
    assert!(!config.enable_sni);
    assert_eq!(config.alpn_protocols, [tls::ALPN]);
}
