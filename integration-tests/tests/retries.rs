//! Promise: a failure that may be tried again is, within bounds, and the client sees none of it; what may have been
//! processed, or cannot be sent again, is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Frame;
use integration_tests::peers::http_client::{frames, full, get, post};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, Vip, backend};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// The longest body that is kept to be sent again.
const HELD: usize = 64 * 1024;

/// What the backend does with a request it has read.
#[derive(Clone, Copy)]
enum Then {
    /// Ends the connection.
    Close,
    /// Breaks the connection.
    Reset,
    /// Answers, and keeps the connection.
    Answer(u16),
}

/// A request that reached the backend.
struct Arrived {
    at: Instant,
    body: Vec<u8>,
    trailers: Vec<String>,
}

/// All that reached the backend, over all its connections.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Arrived>>>);

impl Seen {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn bodies(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().iter().map(|a| a.body.clone()).collect()
    }
}

/// A backend that treats its n-th request as the n-th of `plan` says, and those after as the last says.
async fn planned(world: &mut MeshWorld, plan: &'static [Then]) -> (Pod<Scripted>, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let script = move |mut connection: RawHttp<TcpStream>| {
        let seen = kept.clone();
        async move {
            while let Ok(head) = connection.head().await {
                let Ok((body, trailers)) = connection.body_and_trailers(&head).await else {
                    return;
                };
                let n = {
                    let mut seen = seen.0.lock().unwrap();
                    let at = Instant::now();
                    seen.push(Arrived { at, body, trailers });
                    seen.len() - 1
                };
                match plan[n.min(plan.len() - 1)] {
                    Then::Close => return,
                    Then::Reset => return connection.reset(),
                    Then::Answer(status) => {
                        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nok");
                        connection.send(answer).await.unwrap();
                    }
                }
            }
        }
    };
    (world.script("shop", script).await, seen)
}

fn route(world: &mut MeshWorld, retry: serde_json::Value) {
    let rules = json!([{ "retry": retry, "backendRefs": [backend("shop", 1)] }]);
    world.http_route("shop", "shop", rules);
}

async fn start(world: &MeshWorld) -> Waypoint {
    world.start_with(Launch::default().access_log()).await
}

async fn status(world: &MeshWorld, waypoint: &Waypoint, vip: &Vip, request: Request<Body>) -> u16 {
    let mut client = world.client(waypoint).http1(vip).await;
    soon("an answer", client.send(request)).await.status.as_u16()
}

type Body = integration_tests::peers::http_client::ClientBody;

async fn retries(waypoint: &Waypoint) -> f64 {
    waypoint.scrape().await.sum("waypoint_retries_total", &[])
}

#[tokio::test]
async fn a_dead_endpoint_of_two_costs_no_client_anything() {
    for reach in [Reach::Clear, Reach::Hbone] {
        let mut world = MeshWorld::new();
        let alive = world.echo("alive", "v1", reach).await;
        let dead = world.dead_pod("dead", reach);
        let vip = world.service("shop", "http", &[dead, alive.ip]);
        let waypoint = world.start().await;
        let mut client = world.client(&waypoint).http1(&vip).await;
        for i in 0..20 {
            // Nothing was sent to the dead one: a body that is longer than what is held is no obstacle.
            let reply = client.send(post("/upload", vec![b'x'; 3 * HELD])).await;
            assert_eq!((i, reply.status.as_u16()), (i, 200), "{reply:?}");
            assert_eq!(reply.field("body_bytes"), (3 * HELD).to_string());
            assert_eq!(client.get("/").await.status, 200);
        }
        assert!(retries(&waypoint).await > 0.0, "the dead one was never chosen first");
        assert_eq!(alive.app.counts().requests, 40);
    }
}

#[tokio::test]
async fn where_nobody_listens_two_retries_are_the_end() {
    let mut world = MeshWorld::new();
    let dead: Vec<_> = (0..5)
        .map(|i| world.dead_pod(&format!("dead-{i}"), Reach::Clear))
        .collect();
    let vip = world.service("shop", "http", &dead);
    let waypoint = start(&world).await;
    assert_eq!(status(&world, &waypoint, &vip, get("/nobody")).await, 503);
    assert_eq!(retries(&waypoint).await, 2.0);
    assert_eq!(waypoint.logged_field("/nobody", "response_flags").await, "UF");
}

#[tokio::test]
async fn an_idempotent_request_survives_two_broken_connections() {
    for plan in [
        &[Then::Close, Then::Close, Then::Answer(200)],
        &[Then::Reset, Then::Reset, Then::Answer(200)],
    ] {
        let mut world = MeshWorld::new();
        let (shop, seen) = planned(&mut world, plan).await;
        let waypoint = start(&world).await;
        assert_eq!(status(&world, &waypoint, &shop.vip, get("/x")).await, 200);
        assert_eq!(seen.count(), 3);
    }
    let mut world = MeshWorld::new();
    let (shop, seen) = planned(&mut world, &[Then::Close]).await;
    let waypoint = start(&world).await;
    assert_eq!(status(&world, &waypoint, &shop.vip, get("/never")).await, 503);
    assert_eq!(seen.count(), 3, "two retries, no more");
    assert_eq!(waypoint.logged_field("/never", "response_flags").await, "UC");
}

#[tokio::test]
async fn a_post_that_may_have_been_processed_is_not_repeated() {
    for plan in [&[Then::Close, Then::Answer(200)][..], &[Then::Reset, Then::Answer(200)]] {
        let mut world = MeshWorld::new();
        let (shop, seen) = planned(&mut world, plan).await;
        let waypoint = start(&world).await;
        assert_eq!(status(&world, &waypoint, &shop.vip, post("/order", "one")).await, 503);
        assert_eq!(seen.bodies(), [b"one"]);
        assert_eq!(waypoint.logged_field("/order", "response_flags").await, "UC");
    }
}

#[tokio::test]
async fn a_policy_repeats_a_post_with_its_whole_body_and_trailers() {
    let mut world = MeshWorld::new();
    let (shop, seen) = planned(&mut world, &[Then::Close, Then::Reset, Then::Answer(200)]).await;
    route(&mut world, json!({ "attempts": 2 }));
    let waypoint = start(&world).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    let body = vec![
        Frame::data(Bytes::from(vec![b'1'; 40_000])),
        Frame::data(Bytes::from(vec![b'2'; HELD - 40_000])),
        Frame::trailers(trailers),
    ];
    let request = Request::post("/order")
        .header("trailer", "x-checksum")
        .body(frames(body))
        .unwrap();
    assert_eq!(status(&world, &waypoint, &shop.vip, request).await, 200);
    let whole = [vec![b'1'; 40_000], vec![b'2'; HELD - 40_000]].concat();
    assert!(
        seen.bodies() == vec![whole; 3],
        "{:?}",
        seen.bodies().iter().map(Vec::len).collect::<Vec<_>>()
    );
    for arrived in seen.0.lock().unwrap().iter() {
        assert_eq!(arrived.trailers, ["x-checksum: abc"]);
    }
}

#[tokio::test]
async fn a_body_longer_than_what_is_held_is_sent_once() {
    let mut world = MeshWorld::new();
    let (shop, seen) = planned(&mut world, &[Then::Close, Then::Answer(200)]).await;
    route(&mut world, json!({ "attempts": 2 }));
    let waypoint = start(&world).await;
    let body = vec![b'x'; HELD + 1];
    assert_eq!(
        status(&world, &waypoint, &shop.vip, post("/order", body.clone())).await,
        503
    );
    assert!(seen.bodies() == [body], "sent {} times", seen.count());
}

#[tokio::test]
async fn codes_are_retried_as_often_as_attempts_says() {
    let cases = [
        (
            "two retries reach the good answer",
            json!({ "attempts": 2, "codes": [503] }),
            503,
            200,
            3,
        ),
        (
            "attempts are retries, not tries",
            json!({ "attempts": 1, "codes": [503] }),
            503,
            503,
            2,
        ),
        (
            "one is the default",
            json!({ "codes": [500, 503], "backoff": "1ms" }),
            503,
            503,
            2,
        ),
        (
            "another code is the client's",
            json!({ "attempts": 2, "codes": [503] }),
            500,
            500,
            1,
        ),
        ("no retries", json!({ "attempts": 0, "codes": [503] }), 503, 503, 1),
    ];
    for (what, retry, code, wanted, times) in cases {
        let mut world = MeshWorld::new();
        const FAILS: [[Then; 3]; 2] = [
            [Then::Answer(503), Then::Answer(503), Then::Answer(200)],
            [Then::Answer(500), Then::Answer(500), Then::Answer(200)],
        ];
        let (shop, seen) = planned(&mut world, &FAILS[usize::from(code == 500)]).await;
        route(&mut world, retry);
        let waypoint = start(&world).await;
        assert_eq!(
            status(&world, &waypoint, &shop.vip, post("/order", "one")).await,
            wanted,
            "{what}"
        );
        assert_eq!(seen.bodies(), vec![b"one".to_vec(); times], "{what}");
    }
}

#[tokio::test]
async fn without_a_policy_no_answer_is_retried() {
    let mut world = MeshWorld::new();
    let (shop, seen) = planned(&mut world, &[Then::Answer(503), Then::Answer(200)]).await;
    let waypoint = start(&world).await;
    assert_eq!(status(&world, &waypoint, &shop.vip, get("/")).await, 503);
    assert_eq!(seen.count(), 1);
}

#[tokio::test]
async fn the_back_off_is_a_minimum() {
    let mut world = MeshWorld::new();
    let (shop, seen) = planned(&mut world, &[Then::Answer(503), Then::Close, Then::Answer(200)]).await;
    route(&mut world, json!({ "attempts": 2, "codes": [503], "backoff": "150ms" }));
    let waypoint = start(&world).await;
    assert_eq!(status(&world, &waypoint, &shop.vip, get("/")).await, 200);
    let seen = seen.0.lock().unwrap();
    for pair in seen.windows(2) {
        let pause = pair[1].at - pair[0].at;
        assert!(pause >= Duration::from_millis(150), "retried after {pause:?}");
    }
}

/// An HTTP/2 backend that refuses its first two streams.
async fn turning_away(world: &mut MeshWorld) -> (Pod<Scripted>, Arc<Mutex<u32>>) {
    let turned = Arc::<Mutex<u32>>::default();
    let counted = turned.clone();
    let script = move |connection: RawHttp<TcpStream>| {
        let turned = counted.clone();
        async move {
            let mut connection = h2::server::handshake(connection.into_io()).await.unwrap();
            while let Some(Ok((_request, mut respond))) = connection.accept().await {
                let turn_away = {
                    let mut turned = turned.lock().unwrap();
                    *turned += 1;
                    *turned <= 2
                };
                if turn_away {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                } else {
                    respond.send_response(Response::new(()), true).unwrap();
                }
            }
        }
    };
    (world.script_as("shop", "http2", script).await, turned)
}

#[tokio::test]
async fn a_refused_stream_is_retried_whatever_the_method() {
    let mut world = MeshWorld::new();
    let (shop, turned) = turning_away(&mut world).await;
    let waypoint = start(&world).await;
    assert_eq!(status(&world, &waypoint, &shop.vip, post("/order", "one")).await, 200);
    assert_eq!(*turned.lock().unwrap(), 3);
}

#[tokio::test]
async fn an_http2_connection_that_says_go_away_between_requests_is_replaced() {
    let mut world = MeshWorld::new();
    let connections = Arc::<Mutex<u32>>::default();
    let counted = connections.clone();
    let script = move |connection: RawHttp<TcpStream>| {
        *counted.lock().unwrap() += 1;
        async move {
            let mut connection = h2::server::handshake(connection.into_io()).await.unwrap();
            let mut served = 0;
            while let Some(Ok((_request, mut respond))) = connection.accept().await {
                respond.send_response(Response::new(()), true).unwrap();
                served += 1;
                if served == 3 {
                    connection.graceful_shutdown();
                }
            }
        }
    };
    let shop = world.script_as("shop", "http2", script).await;
    let waypoint = start(&world).await;
    let mut client = world.client(&waypoint).http1(&shop.vip).await;
    for i in 0..10 {
        let reply = client.send(post("/order", "one")).await;
        assert_eq!((i, reply.status.as_u16()), (i, 200));
    }
    assert!(*connections.lock().unwrap() >= 3);
}

/// A pooled connection that the backend closed meanwhile is noticed before anything is sent on it.
#[tokio::test]
async fn a_stale_connection_of_the_pool_is_not_used() {
    let mut world = MeshWorld::new();
    let closed = Arc::<Mutex<u32>>::default();
    let counted = closed.clone();
    let script = move |mut connection: RawHttp<TcpStream>| {
        let closed = counted.clone();
        async move {
            let head = connection.head().await.unwrap();
            connection.body(&head).await.unwrap();
            connection
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
            drop(connection);
            *closed.lock().unwrap() += 1;
        }
    };
    let shop = world.script("shop", script).await;
    let waypoint = start(&world).await;
    let mut client = world.client(&waypoint).http1(&shop.vip).await;
    for i in 1..=10 {
        let reply = client.send(Request::post("/order").body(full("one")).unwrap()).await;
        assert_eq!(
            (i, reply.status.as_u16()),
            (i, 200),
            "a POST is not repeated: {reply:?}"
        );
        until("the backend has closed", async || *closed.lock().unwrap() == i).await;
    }
    assert_eq!(retries(&waypoint).await, 0.0);
}

/// ... and one that it closes just as the request comes costs a GET nothing.
#[tokio::test]
async fn a_connection_that_closes_as_the_request_comes_is_retried() {
    let mut world = MeshWorld::new();
    let (shop, seen) = planned(&mut world, &[Then::Answer(200), Then::Close, Then::Answer(200)]).await;
    let waypoint = start(&world).await;
    let mut client = world.client(&waypoint).http1(&shop.vip).await;
    assert_eq!(client.get("/first").await.status, 200);
    assert_eq!(client.get("/second").await.status, 200);
    assert_eq!(seen.count(), 3);
}
