//! What is asked on a connection, and how it is answered.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_no_connect_with_a_port_is_refused() {
    let bench = Bench::new();
    let (mut client, _served) = bench.raw().await;
    let get = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "10.0.0.1:80"),
        (":path", "/"),
    ];
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(Fields, Result<u16, u32>)] = &[
        (&get, Ok(405)),
        (&[(":method", "CONNECT"), (":authority", "10.0.0.1")], Ok(400)),
        (&[(":method", "CONNECT"), (":authority", "10.0.0.1:")], Ok(400)),
        (&[(":method", "CONNECT"), (":authority", "10.0.0.1:http")], Err(1)),
        (&[(":method", "CONNECT"), (":authority", "10.0.0.1:99999")], Ok(400)),
        (&[(":method", "CONNECT"), (":authority", "user@10.0.0.1:80")], Ok(400)),
        (&[(":method", "CONNECT"), (":authority", ":80")], Ok(400)),
        (&[(":method", "CONNECT"), (":authority", "")], Err(1)),
        (&[(":method", "CONNECT")], Ok(400)),
        (
            &[(":method", "CONNECT"), (":authority", "10.0.0.1:80"), (":path", "/")],
            Err(1),
        ),
        (
            &[
                (":method", "CONNECT"),
                (":scheme", "http"),
                (":authority", "10.0.0.1:80"),
            ],
            Err(1),
        ),
        (
            &[
                (":method", "CONNECT"),
                (":authority", "10.0.0.1:80"),
                ("transfer-encoding", "chunked"),
            ],
            Err(1),
        ),
        (
            &[
                (":method", "CONNECT"),
                (":protocol", "connect-udp"),
                (":scheme", "http"),
                (":authority", "10.0.0.1:80"),
                (":path", "/"),
            ],
            Err(1),
        ),
        (
            &[
                (":method", "CONNECT"),
                (":authority", "[fd00::1]:80"),
                ("baggage", "=,;%zz"),
            ],
            Ok(200),
        ),
    ];
    for (index, (fields, expected)) in cases.iter().enumerate() {
        let stream = index as u32 * 2 + 1;
        client.headers(stream, fields).await;
        let got = client.status(stream).await;
        match expected {
            // Whether a text is an authority at all is decided below or above h2: both are refusals.
            Ok(400) | Err(1) => assert!(matches!(got, Ok(400) | Err(1)), "{fields:?}: {got:?}"),
            _ => assert_eq!(got, *expected, "{fields:?}"),
        }
    }
    assert_eq!(bench.server.seen.count("405"), 1);
}

#[tokio::test(start_paused = true)]
async fn too_many_headers_are_431() {
    let bench = Bench::new();
    let (mut client, _served) = bench.raw().await;
    let names: Vec<String> = (0..200).map(|index| format!("x{index}")).collect();
    let connect = [(":method", "CONNECT"), (":authority", "10.0.0.1:80")];
    let mut fields = connect.to_vec();
    fields.extend(names.iter().map(|name| (name.as_str(), "1")));
    client.headers(1, &fields).await;
    assert_eq!(client.status(1).await, Ok(431));
    let big = "b".repeat(120);
    let mut fields = connect.to_vec();
    fields.extend(std::iter::repeat_n(("baggage", big.as_str()), 100));
    client.headers(3, &fields).await;
    assert_eq!(client.status(3).await, Ok(200));
    fields.extend(std::iter::repeat_n(("baggage", big.as_str()), 25));
    // Beyond one frame: HEADERS and CONTINUATION.
    fields.extend(std::iter::repeat_n(("baggage", big.as_str()), 200));
    let block = block(&fields);
    let (first, rest) = block.split_at(16_000);
    client.send(HEADERS, 0, 5, first).await;
    let mut rest = rest.chunks(16_000).peekable();
    while let Some(part) = rest.next() {
        client
            .send(9, if rest.peek().is_none() { END_HEADERS } else { 0 }, 5, part)
            .await;
    }
    assert_eq!(client.status(5).await, Ok(431));
}

#[tokio::test(start_paused = true)]
async fn answers_are_what_the_callback_said() {
    let bench = Bench::new();
    let (near, _served) = bench.pipe(|connect| match connect.authority.port() {
        Some(1) => drop(connect),
        Some(2) => connect.refuse(StatusCode::SERVICE_UNAVAILABLE),
        _ => {
            assert_eq!(connect.identity.as_str(), id("client"));
            assert_eq!(connect.peer, PEER.parse().unwrap());
            assert_eq!(connect.headers["baggage"], "k8s.namespace.name=ns");
            echo(connect);
        }
    });
    let mut client = RawClient::open(near, &bench.ca.identity("client")).await;
    client.connect(1, "svc.ns.svc.cluster.local:1").await;
    assert_eq!(client.status(1).await, Ok(400));
    client.connect(3, "10.0.0.1:2").await;
    assert_eq!(client.status(3).await, Ok(503));
    let fields = [
        (":method", "CONNECT"),
        (":authority", "10.0.0.1:80"),
        ("baggage", "k8s.namespace.name=ns"),
    ];
    client.headers(5, &fields).await;
    let answer = loop {
        let frame = client.next_of_note().await.unwrap();
        if frame.stream == 5 {
            break frame;
        }
    };
    assert_eq!((answer.kind, answer.flags), (HEADERS, END_HEADERS), "no END_STREAM");
    client.send(DATA, 0, 5, b"hello").await;
    let data = client.next_of_note().await.unwrap();
    assert_eq!(
        (data.kind, data.flags, data.payload.as_slice()),
        (DATA, 0, &b"hello"[..])
    );
    client.send(DATA, END_STREAM, 5, b"").await;
    let end = client.next_of_note().await.unwrap();
    assert_eq!(
        (end.kind, end.flags, end.stream, end.payload.len()),
        (DATA, END_STREAM, 5, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resets_all_it_opens_is_told_to_calm_down() {
    let bench = Bench::new();
    let (client, served) = bench.raw().await;
    // In one write, so that the server sees opened and reset streams together.
    let mut flood = Vec::new();
    for index in 0..2000u32 {
        let headers = block(&[(":method", "CONNECT"), (":authority", "10.0.0.1:80")]);
        flood.extend([0, 0, headers.len() as u8, HEADERS, END_HEADERS]);
        flood.extend((index * 2 + 1).to_be_bytes());
        flood.extend(headers);
        flood.extend([0, 0, 4, RST_STREAM, 0]);
        flood.extend((index * 2 + 1).to_be_bytes());
        flood.extend(8u32.to_be_bytes());
    }
    let (mut read, mut write) = tokio::io::split(client.io);
    let writing = tokio::spawn(async move { while write.write_all(&flood).await.is_err() {} });
    let mut said = Vec::new();
    let _ = read.read_to_end(&mut said).await;
    let error = served.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, ServeError::H2(error) if error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)),
        "{error}"
    );
    writing.abort();
    // The others do not notice.
    let (mut other, _served) = bench.raw().await;
    other.connect(1, "10.0.0.1:80").await;
    assert_eq!(other.status(1).await, Ok(200));
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_limit_are_refused() {
    let bench = Bench::with(ServerConfig {
        max_streams: 3,
        ..ServerConfig::default()
    });
    let (mut client, _served) = bench.raw().await;
    let settings = client.next().await.unwrap();
    let announced = settings.payload.chunks(6).find(|pair| pair[..2] == [0, 3]).unwrap();
    assert_eq!(announced[2..], 100u32.to_be_bytes(), "ztunnel hangs below 100");
    for index in 0..100 {
        client.connect(index * 2 + 1, "10.0.0.1:80").await;
        assert_eq!(client.status(index * 2 + 1).await, Ok(200));
    }
    client.connect(201, "10.0.0.1:80").await;
    assert_eq!(client.status(201).await, Err(7));
    client.send(RST_STREAM, 0, 1, &8u32.to_be_bytes()).await;
    client.connect(203, "10.0.0.1:80").await;
    assert_eq!(client.status(203).await, Ok(200));
}
