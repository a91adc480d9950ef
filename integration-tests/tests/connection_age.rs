//! Promise: an HBONE connection that has reached `--max-connection-age` is told to leave, and loses nothing by it: what is
//! under way ends as it would have, what comes next comes over a new connection, which may lead to another replica.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::{empty, get};
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn start(world: &MeshWorld, seconds: u64) -> Waypoint {
    world
        .start_with(Launch::default().arg("--max-connection-age", seconds))
        .await
}

/// Handshakes so far: each is a connection.
async fn handshakes(waypoint: &Waypoint) -> f64 {
    let samples = waypoint.scrape().await;
    samples.sum("waypoint_handshakes_total", &[("result", "ok")])
}

#[tokio::test]
async fn http1_is_closed_by_an_answer_that_says_so() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = start(&world, 1).await;
    let client = world.client(&waypoint);
    let mut http = client.http1(&echo.vip).await;
    let mut answers = 0;
    until("an answer ends the connection", async || {
        let answer = http.get("/").await;
        assert_eq!(answer.status, 200);
        answers += 1;
        answer.headers.get("connection").is_some_and(|said| said == "close")
    })
    .await;
    assert!(answers > 1, "it lived for a while");
    http.closed().await;
    let before = handshakes(&waypoint).await;
    assert_eq!(client.get(&echo.vip, "/").await.status, 200);
    assert!(handshakes(&waypoint).await > before, "over a new connection");
}

#[tokio::test]
async fn http2_is_told_by_goaway_and_what_is_under_way_finishes() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = start(&world, 1).await;
    let client = world.client(&waypoint);
    let mut http2 = client.http2(&echo.vip).await;
    let mut sender = http2.http2_sender().unwrap();
    let waiting = tokio::spawn(async move { http2.try_send(get("/do/gate/a")).await });
    let mut http1 = client.http1(&echo.vip).await;
    let waiting1 = tokio::spawn(async move { http1.try_send(get("/do/gate/a")).await });
    echo.app.gates().arrived("a", 2).await;
    until("no stream may be opened", async || {
        let request = http::Request::get("http://echo/").body(empty()).unwrap();
        sender.ready().await.is_err() || sender.send_request(request).await.is_err()
    })
    .await;
    assert!(!waiting.is_finished() && !waiting1.is_finished());
    echo.app.gates().open("a");
    for answer in [waiting, waiting1] {
        let answer = soon("the answer", answer).await.unwrap().unwrap();
        assert_eq!(answer.status, 200);
    }
}

/// Clients that come back when they are told to lose no request, however often that is.
#[tokio::test]
async fn nothing_is_lost_under_load() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = start(&world, 1).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (client, vip, done) = (world.client(&waypoint), echo.vip.clone(), done.clone());
        workers.spawn(async move {
            let mut moves = 0;
            while !done.load(Ordering::Relaxed) {
                let mut http = client.http1(&vip).await;
                loop {
                    let answer = http.try_send(get("/")).await.unwrap();
                    assert_eq!(answer.status, 200);
                    if answer.headers.get("connection").is_some_and(|said| said == "close") {
                        moves += 1;
                        break;
                    }
                }
            }
            moves
        });
    }
    until("each has moved a few times", async || {
        handshakes(&waypoint).await >= 12.0
    })
    .await;
    done.store(true, Ordering::Relaxed);
    while let Some(moves) = workers.join_next().await {
        assert!(moves.unwrap() > 1);
    }
}

#[tokio::test]
async fn bytes_stay_for_as_long_as_they_like() {
    let mut world = MeshWorld::new();
    let db = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = start(&world, 1).await;
    let client = world.client(&waypoint);
    let mut tunnel = client.raw(&db.vip).await;
    let before = handshakes(&waypoint).await;
    until("tunnels go over another connection", async || {
        assert_eq!(client.get(&echo.vip, "/").await.status, 200);
        handshakes(&waypoint).await > before
    })
    .await;
    tunnel.write_all(b"still here").await.unwrap();
    let mut said = [0; 10];
    soon("the echo", tunnel.read_exact(&mut said)).await.unwrap();
    assert_eq!(&said, b"still here");
}
