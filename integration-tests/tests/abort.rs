//! Promise: when a client goes away, its upstream request goes too, at once: nothing is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Frame;
use integration_tests::peers::echo::{Echo, EchoMessage};
use integration_tests::peers::grpc_client::GrpcCall;
use integration_tests::peers::http_client::{HttpClient, fed, get};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach};
use integration_tests::peers::waiting::soon;
use integration_tests::peers::waypoint_process::Waypoint;

async fn mesh(reach: Reach) -> (MeshWorld, Waypoint, Pod<Echo>) {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", reach).await;
    let waypoint = world.start().await;
    (world, waypoint, echo)
}

async fn clients(world: &MeshWorld, waypoint: &Waypoint, echo: &Pod<Echo>) -> [HttpClient; 2] {
    let client = world.client(waypoint);
    [client.http1(&echo.vip).await, client.http2(&echo.vip).await]
}

async fn nothing_is_left(waypoint: &Waypoint, echo: &Pod<Echo>, cancelled: u64) {
    echo.app
        .until("the aborted requests are cancelled", |c| {
            c.open == 0 && c.cancelled == cancelled
        })
        .await;
    integration_tests::peers::waiting::until("the waypoint has nothing in flight", async || {
        waypoint.scrape().await.sum("waypoint_requests_in_flight", &[]) == 0.0
    })
    .await;
}

#[tokio::test]
async fn while_waiting_for_the_answer() {
    for reach in [Reach::Hbone, Reach::Clear] {
        let (world, waypoint, echo) = mesh(reach).await;
        for (i, mut client) in clients(&world, &waypoint, &echo).await.into_iter().enumerate() {
            let waiting = tokio::spawn(async move { client.try_send(get("/do/hang")).await.map(|r| r.status) });
            echo.app.until("the request is there", |c| c.open == 1).await;
            waiting.abort();
            nothing_is_left(&waypoint, &echo, i as u64 + 1).await;
        }
    }
}

#[tokio::test]
async fn in_the_middle_of_the_request_body() {
    for reach in [Reach::Hbone, Reach::Clear] {
        let (world, waypoint, echo) = mesh(reach).await;
        for (i, mut client) in clients(&world, &waypoint, &echo).await.into_iter().enumerate() {
            let (body, request) = fed();
            let waiting = tokio::spawn(async move {
                client
                    .try_send(Request::post("/upload").body(request).unwrap())
                    .await
                    .map(|r| r.status)
            });
            body.send(Ok(Frame::data(Bytes::from(vec![7; 10_000])))).await.unwrap();
            echo.app
                .until("the bytes are there", |c| c.body_bytes == 10_000 * (i as u64 + 1))
                .await;
            waiting.abort();
            nothing_is_left(&waypoint, &echo, i as u64 + 1).await;
        }
    }
}

#[tokio::test]
async fn in_the_middle_of_the_answer() {
    for reach in [Reach::Hbone, Reach::Clear] {
        let (world, waypoint, echo) = mesh(reach).await;
        for (i, mut client) in clients(&world, &waypoint, &echo).await.into_iter().enumerate() {
            let mut answer = soon("a head", client.begin(get("/do/big/1000000000000")))
                .await
                .unwrap();
            soon("a first piece", answer.frame()).await.unwrap().unwrap();
            drop((answer, client));
            nothing_is_left(&waypoint, &echo, i as u64 + 1).await;
        }
    }
}

#[tokio::test]
async fn one_http2_stream_of_many_ends_alone() {
    let (world, waypoint, echo) = mesh(Reach::Hbone).await;
    let mut client = world.client(&waypoint).http2(&echo.vip).await;
    let message = EchoMessage {
        text: "x".into(),
        count: 0,
    };
    let mut stays = GrpcCall::begin(&mut client, "Bidi", &message).await;
    let goes = GrpcCall::begin(&mut client, "Bidi", &message).await;
    echo.app.until("both are there", |c| c.open == 2).await;
    drop(goes);
    echo.app
        .until("one is cancelled", |c| c.open == 1 && c.cancelled == 1)
        .await;
    for _ in 0..3 {
        assert!(stays.receive().await.is_some());
        stays.send(&message).await;
    }
    assert!(stays.receive().await.is_some());
}

#[tokio::test]
async fn two_hundred_at_once() {
    let (world, waypoint, echo) = mesh(Reach::Hbone).await;
    let client = world.client(&waypoint);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let mut connection = client.http1(&echo.vip).await;
        waiting.spawn(async move { connection.try_send(get("/do/hang")).await.map(|r| r.status) });
    }
    echo.app.until("all are there", |c| c.open == 200).await;
    drop(waiting);
    nothing_is_left(&waypoint, &echo, 200).await;
    assert_eq!(client.get(&echo.vip, "/").await.status, 200);
}
