//! How connections end: drain, age, idleness, silence.

use super::*;

fn error_code(frame: &Frame) -> (u32, u32) {
    let word = |at: usize| u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap());
    (word(0), word(4))
}

/// The frames of a drain, as ztunnel needs them: GOAWAY 2^31-1 and a PING; a stream that crosses them is served; after
/// the PING's answer the real last id; the end when the streams have ended, by END_STREAM.
#[tokio::test(start_paused = true)]
async fn a_drain_takes_two_steps() {
    let bench = Bench::new();
    let (mut client, served) = bench.raw().await;
    client.connect(1, "10.0.0.1:80").await;
    assert_eq!(client.status(1).await, Ok(200));
    bench.server.drain.start();

    let first = client.next_of_note().await.unwrap();
    assert_eq!((first.kind, error_code(&first)), (GOAWAY, (0x7fff_ffff, 0)));
    let ping = client.next_of_note().await.unwrap();
    assert_eq!((ping.kind, ping.flags), (PING, 0));

    client.connect(3, "10.0.0.1:80").await;
    assert_eq!(client.status(3).await, Ok(200));
    client.send(PING, ACK, 0, &ping.payload).await;
    let second = client.next_of_note().await.unwrap();
    assert_eq!((second.kind, error_code(&second)), (GOAWAY, (3, 0)));

    for stream in [1, 3] {
        assert!(!served.is_finished());
        client.send(DATA, END_STREAM, stream, b"last words").await;
        let mut said = Vec::new();
        loop {
            let frame = client.next_of_note().await.unwrap();
            assert_eq!((frame.kind, frame.stream), (DATA, stream));
            said.extend(frame.payload);
            if frame.flags == END_STREAM {
                break;
            }
        }
        assert_eq!(said, b"last words");
    }
    // All that may follow is the last GOAWAY again, without an error.
    while let Some(frame) = client.next_of_note().await {
        assert_eq!((frame.kind, error_code(&frame).1), (GOAWAY, 0), "{frame:?}");
    }
    served.await.unwrap().unwrap();
    assert_eq!(bench.server.drain.wait(Duration::ZERO).await, crate::Drained::Idle);
    assert_eq!(bench.server.seen.take(), ["ok", "+1", "-1"]);
}

/// A client that had not heard of the drain opens the tunnel it came for, before it is told to leave.
#[tokio::test(start_paused = true)]
async fn a_connection_that_begins_in_a_drain_has_its_first_tunnel() {
    let bench = Bench::new();
    bench.server.drain.start();
    let (mut client, _served) = bench.raw().await;
    client.connect(1, "10.0.0.1:80").await;
    assert_eq!(client.status(1).await, Ok(200), "no GOAWAY before");
    let first = client.next_of_note().await.unwrap();
    assert_eq!((first.kind, error_code(&first)), (GOAWAY, (0x7fff_ffff, 0)));
    // One that opens none is not waited for longer than that.
    let begun = Instant::now();
    let (mut silent, _served) = bench.raw().await;
    let first = silent.next_of_note().await.unwrap();
    assert_eq!(first.kind, GOAWAY);
    assert!(begun.elapsed() <= FIRST_TUNNEL * 2, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_asked_to_leave_and_busy_ones_are_not() {
    let config = ServerConfig {
        max_age: None,
        ..ServerConfig::default()
    };
    let hour = config.idle_timeout;
    let bench = Bench::with(config);
    let (idle, busy) = (bench.pipe(echo), bench.pipe(echo));
    let identity = bench.ca.identity("client");
    let (_idle, idle_connection) = client(idle.0, &identity).await;
    let (mut busy_send, busy_connection) = client(busy.0, &identity).await;
    let (answer, _tunnel) = busy_send.send_request(connect_request(), false).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let begun = Instant::now();
    idle_connection.await.unwrap().unwrap();
    idle.1.await.unwrap().unwrap();
    assert!(
        begun.elapsed().abs_diff(hour) < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    tokio::time::sleep(hour * 3).await;
    assert!(!busy.1.is_finished() && !busy_connection.is_finished());
    busy_send.ready().await.expect("no GOAWAY");
}

#[tokio::test(start_paused = true)]
async fn old_connections_leave_when_their_streams_have_ended() {
    let bench = Bench::with(ServerConfig {
        idle_timeout: Duration::MAX,
        ..ServerConfig::default()
    });
    let (near, served) = bench.pipe(echo);
    let (mut send, connection) = client(near, &bench.ca.identity("client")).await;
    let (answer, mut tunnel) = send.send_request(connect_request(), false).unwrap();
    let mut answer = answer.await.unwrap().into_body();
    tokio::time::sleep(Duration::from_secs(3200)).await;
    assert!(send.clone().ready().await.is_ok());
    tokio::time::sleep(Duration::from_secs(800)).await;
    assert!(send.ready().await.is_err(), "no new streams after GOAWAY");
    assert!(!served.is_finished());
    tunnel.send_data(Bytes::from_static(b"still here"), true).unwrap();
    assert_eq!(answer.data().await.unwrap().unwrap(), "still here");
    drop((answer, tunnel));
    let begun = Instant::now();
    served.await.unwrap().unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(100),
        "waited for nobody: {:?}",
        begun.elapsed()
    );
    connection.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_given_up() {
    let bench = Bench::new();
    let (mut client, served) = bench.raw().await;
    client.connect(1, "10.0.0.1:80").await;
    let begun = Instant::now();
    let error = served.await.unwrap().unwrap_err();
    assert!(matches!(error, ServeError::Timeout(_)), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert_eq!(client.status(1).await, Ok(200));
    assert_eq!(client.next_of_note().await.unwrap().kind, PING);
}

/// A reader who takes nothing, not even our answers to its PINGs.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_given_up() {
    let bench = Bench::new();
    let (mut client, served) = bench.raw().await;
    let flood = async { while client.try_send(PING, 0, 0, &[0; 8]).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(100), flood)
        .await
        .expect("the end of the connection");
    assert!(served.await.unwrap().is_err());
}

/// An ordinary client, which answers PINGs.
async fn client(io: DuplexStream, identity: &Identity) -> (h2::client::SendRequest<Bytes>, ClientConnection) {
    let raw = RawClient::tls(io, Arc::clone(&identity.client)).await.unwrap();
    let (send, connection) = h2::client::handshake(raw.io).await.unwrap();
    (send, tokio::spawn(connection))
}

fn connect_request() -> http::Request<()> {
    http::Request::connect("10.0.0.1:80").body(()).unwrap()
}

/// Whose certificate is revoked while it is connected is told to leave, and cut soon after. Others stay.
#[tokio::test(start_paused = true)]
async fn a_client_that_becomes_revoked_is_cut() {
    let ca = Ca::new();
    let leaf = ca.numbered("server", 1);
    let certs = crate::SharedCerts::new(leaf.identity(&ca));
    let bench = Bench {
        server: TestServer::new(Arc::clone(&certs) as _, ServerConfig::default()),
        ca,
    };
    let (bad, good) = (bench.ca.numbered("bad", 7), bench.ca.numbered("good", 8));
    let (near, cut) = bench.pipe(echo);
    let mut bad = RawClient::open(near, &bad.identity(&bench.ca)).await;
    let (near, _stays) = bench.pipe(echo);
    let mut good = RawClient::open(near, &good.identity(&bench.ca)).await;
    for client in [&mut bad, &mut good] {
        client.connect(1, "10.0.0.1:80").await;
        assert_eq!(client.status(1).await, Ok(200));
    }
    // A rotation without a revocation ends nothing.
    certs.replace(leaf.identity(&bench.ca));
    bad.send(DATA, 0, 1, b"still here").await;
    assert_eq!(bad.next_of_note().await.unwrap().payload, b"still here");

    certs.replace(leaf.identity_with(&bench.ca, &bench.ca.crl(&[7])));
    let begun = Instant::now();
    assert_eq!(bad.next_of_note().await.unwrap().kind, GOAWAY);
    while bad.next().await.is_some() {}
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let ended = cut.await.unwrap();
    assert!(
        matches!(&ended, Err(ServeError::Revoked(who)) if who.service_account() == "bad"),
        "{ended:?}"
    );
    good.send(DATA, 0, 1, b"as before").await;
    assert_eq!(good.next_of_note().await.unwrap().payload, b"as before");
}

/// What is revoked between the handshake and the first look has told nobody.
#[tokio::test(start_paused = true)]
async fn a_revocation_during_the_handshake_is_not_missed() {
    let ca = Ca::new();
    let certs: Arc<dyn CertSource> = crate::SharedCerts::new(ca.identity("server"));
    let used = Arc::new(ca.identity("server"));
    let recheck = crate::recheck::Recheck::new(&certs, &used, Arc::default(), crate::trust::Usage::Client);
    assert!(recheck.is_due());
    let recheck = crate::recheck::Recheck::new(&certs, &certs.current(), Arc::default(), crate::trust::Usage::Client);
    assert!(!recheck.is_due());
}
