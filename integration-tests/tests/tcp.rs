//! Promise: bytes that are not HTTP pass untouched, with their half-closes, whoever speaks first.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::echo::{Digest, pattern};
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::tcp_backend::{BANNER, Manner};
use integration_tests::peers::waiting::soon;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn megabytes_come_back_unchanged_while_both_sides_talk() {
    let mut world = MeshWorld::new();
    let pod = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let waypoint = world.start().await;
    let tunnel = world.client(&waypoint).raw(&pod.vip).await;
    let (mut read, mut write) = tokio::io::split(tunnel);
    let (mut sent, mut got) = (Digest::default(), Digest::default());
    let send = async {
        for _ in 0..64 {
            write.write_all(&pattern()).await.unwrap();
            sent.add(&pattern());
        }
        write.shutdown().await.unwrap();
    };
    let receive = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let n = read.read(&mut buffer).await.unwrap();
            if n == 0 {
                break;
            }
            got.add(&buffer[..n]);
        }
    };
    soon("4 MiB there and back", async { tokio::join!(send, receive) }).await;
    assert_eq!((got.bytes(), got.hex()), (sent.bytes(), sent.hex()));
    pod.app.until_open(0).await;
}

#[tokio::test]
async fn a_half_close_reaches_the_backend_and_its_answer_comes_back() {
    for reach in [Reach::Hbone, Reach::Clear] {
        let mut world = MeshWorld::new();
        let pod = world.tcp("sink", "tcp", Manner::CountThenAnswer, reach).await;
        let waypoint = world.start().await;
        let mut tunnel = world.client(&waypoint).raw(&pod.vip).await;
        tunnel.write_all(b"all I have").await.unwrap();
        tunnel.shutdown().await.unwrap();
        let mut answer = String::new();
        soon("the answer after our end", tunnel.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.starts_with("10 "), "{reach:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_server_may_speak_first() {
    // tcp: known not to be HTTP. "": unknown, so detection must not wait for the client for ever.
    for port_name in ["tcp", ""] {
        let mut world = MeshWorld::new();
        let pod = world.tcp("smtp", port_name, Manner::ServerFirst, Reach::Hbone).await;
        let waypoint = world.start().await;
        let mut tunnel = world.client(&waypoint).raw(&pod.vip).await;
        let mut banner = vec![0; BANNER.len()];
        soon(
            &format!("the banner on a port named {port_name:?}"),
            tunnel.read_exact(&mut banner),
        )
        .await
        .unwrap();
        assert_eq!(banner, BANNER);
        tunnel.write_all(b"HELO there\r\n").await.unwrap();
        let mut answer = [0; 12];
        soon("the echo", tunnel.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HELO there\r\n");
    }
}

#[tokio::test]
async fn bytes_that_are_not_http_on_an_undetermined_port_pass() {
    let mut world = MeshWorld::new();
    let pod = world.tcp("redis", "", Manner::Echo, Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    // The last begins like HTTP/1 and then ends.
    for sent in [
        &b"*1\r\n$4\r\nPING\r\n"[..],
        b"\x16\x03\x01\x00\x05hello",
        b"\x00",
        b"GET",
    ] {
        let mut tunnel = client.raw(&pod.vip).await;
        tunnel.write_all(sent).await.unwrap();
        tunnel.shutdown().await.unwrap();
        let mut got = Vec::new();
        soon(&format!("{sent:?} back"), tunnel.read_to_end(&mut got))
            .await
            .unwrap();
        assert_eq!(got, sent);
    }
}

#[tokio::test]
async fn when_the_client_goes_the_backend_connection_goes() {
    let mut world = MeshWorld::new();
    let pod = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut tunnels = Vec::new();
    for _ in 0..10 {
        let mut tunnel = client.raw(&pod.vip).await;
        tunnel.write_all(b"x").await.unwrap();
        soon("an echo", tunnel.read_exact(&mut [0])).await.unwrap();
        tunnels.push(tunnel);
    }
    pod.app.until_open(10).await;
    drop(tunnels);
    pod.app.until_open(0).await;
}

#[tokio::test]
async fn a_backend_that_is_not_there_closes_the_tunnel() {
    let mut world = MeshWorld::new();
    let pod = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let vip = pod.vip.clone();
    drop((pod.app, pod.tunnel));
    let waypoint = world.start().await;
    let Ok(mut tunnel) = world
        .client(&waypoint)
        .dial(&vip.authority(), http::HeaderMap::new())
        .await
    else {
        return;
    };
    let mut got = Vec::new();
    let _ = soon("the end", tunnel.read_to_end(&mut got)).await;
    assert_eq!(got, b"");
}

#[tokio::test]
async fn a_connection_that_the_backend_breaks_does_not_look_complete() {
    let mut world = MeshWorld::new();
    let script = |mut connection: RawHttp<TcpStream>| async move {
        connection.line().await.unwrap();
        connection.send("half of it").await.unwrap();
        connection.reset();
    };
    let pod = world.script_as("db", "tcp", script).await;
    let waypoint = world.start().await;
    let mut tunnel = world.client(&waypoint).raw(&pod.vip).await;
    tunnel.write_all(b"all of it, please\r\n").await.unwrap();
    let mut got = Vec::new();
    let end = soon("the end", tunnel.read_to_end(&mut got)).await;
    assert!(end.is_err(), "{:?} passed for the whole", String::from_utf8_lossy(&got));
}

#[tokio::test]
async fn a_policy_that_comes_later_ends_what_it_denies() {
    let mut world = MeshWorld::new();
    let pod = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let waypoint = world.start().await;
    let mut tunnel = world.client(&waypoint).raw(&pod.vip).await;
    tunnel.write_all(b"x").await.unwrap();
    soon("an echo", tunnel.read_exact(&mut [0])).await.unwrap();
    world.policy(
        "other",
        "db",
        "DENY",
        json!([{ "from": [{ "source": { "namespaces": ["nobody"] } }] }]),
    );
    world.policy("nobody", "db", "DENY", json!([{}]));
    let end = soon("the end", tunnel.read(&mut [0])).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    pod.app.until_open(0).await;
}
