//! Promise: memory does not grow with bodies: 300 MiB each way under 64 MiB resident.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::Request;
use http_body_util::BodyExt;
use integration_tests::peers::echo::{Digest, Echo, pattern};
use integration_tests::peers::http_client::{HttpClient, Reply, big, get};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach};
use integration_tests::peers::waiting::within;
use integration_tests::peers::waypoint_process::Waypoint;
use std::time::Duration;

const SIZE: u64 = 300 << 20;
const MOST_RESIDENT: u64 = 64 << 20;
/// An unoptimised build on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

async fn mesh() -> (MeshWorld, Waypoint, Pod<Echo>) {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    (world, waypoint, echo)
}

/// What the backend's pattern of this size digests to.
fn wanted() -> String {
    let (mut digest, pattern, mut left) = (Digest::default(), pattern(), SIZE);
    while left > 0 {
        let n = left.min(pattern.len() as u64) as usize;
        digest.add(&pattern[..n]);
        left -= n as u64;
    }
    digest.hex()
}

async fn upload(mut client: HttpClient) {
    let request = Request::post("/upload").body(big(SIZE)).unwrap();
    let reply = within(LIMIT, "the upload", client.send(request)).await;
    assert_eq!(
        (reply.field("body_bytes"), reply.field("body_digest")),
        (SIZE.to_string(), wanted())
    );
}

async fn download(mut client: HttpClient) {
    let answer = client.begin(get(&format!("/do/big/{SIZE}"))).await.unwrap();
    assert_eq!(within(LIMIT, "the download", digest(answer)).await, wanted());
}

async fn digest(answer: http::Response<hyper::body::Incoming>) -> String {
    let (mut digest, mut body) = (Digest::default(), answer.into_body());
    while let Some(frame) = body.frame().await {
        digest.add(frame.unwrap().data_ref().unwrap());
    }
    digest.hex()
}

fn assert_small(waypoint: &Waypoint) {
    let peak = waypoint.peak_resident_bytes();
    println!("peak resident: {} KiB", peak / 1024);
    assert!(peak < MOST_RESIDENT, "peak resident {} MiB", peak >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_and_down_over_http1() {
    let (world, waypoint, echo) = mesh().await;
    let client = world.client(&waypoint);
    tokio::join!(
        upload(client.http1(&echo.vip).await),
        download(client.http1(&echo.vip).await)
    );
    assert_small(&waypoint);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_and_down_over_http2() {
    let (world, waypoint, echo) = mesh().await;
    let client = world.client(&waypoint);
    tokio::join!(
        upload(client.http2(&echo.vip).await),
        download(client.http2(&echo.vip).await)
    );
    assert_small(&waypoint);
}

/// A reader that does not read holds its own stream, not memory and not its neighbours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_readers_hold_neither_memory_nor_neighbours() {
    let (world, waypoint, echo) = mesh().await;
    let client = world.client(&waypoint);
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut connection = client.http1(&echo.vip).await;
        let answer = connection.begin(get(&format!("/do/big/{SIZE}"))).await.unwrap();
        stalled.push((answer, connection));
    }
    // Same client identity, so the same HBONE connection as the stalled streams.
    for _ in 0..20 {
        assert_eq!(client.get(&echo.vip, "/").await.status, 200);
    }
    assert_small(&waypoint);
    let (answer, connection) = stalled.pop().unwrap();
    drop(stalled);
    let reply = within(LIMIT, "the stalled answer goes on", Reply::read(answer))
        .await
        .unwrap();
    assert_eq!(reply.body.len() as u64, SIZE);
    drop(connection);
}
