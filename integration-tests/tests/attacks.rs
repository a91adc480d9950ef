//! Promise: what attackers send to look like somebody else, or like something else, is refused, and leaves the connection
//! and its neighbours alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::{get, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::tokens::TokenIssuer;
use serde_json::{Value, json};

#[tokio::test]
async fn tokens_that_their_issuer_never_made() {
    let issuer = TokenIssuer::new("https://issuer.example", "k1");
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let rule = json!({ "issuer": issuer.issuer, "jwks": issuer.jwks().to_string() });
    world.attach(
        "security.istio.io/v1",
        "RequestAuthentication",
        "tokens",
        "echo",
        json!({ "jwtRules": [rule] }),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;

    let claims = json!({ "iss": issuer.issuer, "sub": "root", "exp": 4_000_000_000u64 }).to_string();
    let twice = format!(r#"{{"iss":"{}","sub":"alice","sub":"root"}}"#, issuer.issuer);
    let deep = format!(
        r#"{{"iss":"{}","a":{}{}}}"#,
        issuer.issuer,
        "[".repeat(500),
        "]".repeat(500)
    );
    let huge = json!({ "iss": issuer.issuer, "a": "x".repeat(20_000) }).to_string();
    let jwk = &issuer.jwks()["keys"][0];
    // What the public key gives when it is taken for a shared secret.
    let secret = jwk.to_string();
    let signed = |header: Value, payload: &str| issuer.sign_as(&header, payload);
    let good = signed(json!({ "alg": "ES256", "kid": "k1" }), &claims);
    let parts: Vec<&str> = good.split('.').collect();
    let cases = [
        (
            "no signature asked for",
            TokenIssuer::forge(&json!({ "alg": "none" }), &claims, b""),
        ),
        (
            "and one given",
            TokenIssuer::forge(&json!({ "alg": "none" }), &claims, &[1; 64]),
        ),
        (
            "none by another name",
            TokenIssuer::forge(&json!({ "alg": "NoNe", "kid": "k1" }), &claims, &[1; 64]),
        ),
        (
            "the public key as a secret",
            TokenIssuer::hs256(&json!({ "alg": "HS256", "kid": "k1" }), &claims, &secret),
        ),
        (
            "another algorithm than the key's",
            signed(json!({ "alg": "ES384", "kid": "k1" }), &claims),
        ),
        (
            "RSA named over a P-256 signature",
            signed(json!({ "alg": "RS256", "kid": "k1" }), &claims),
        ),
        (
            "all zeros for a signature",
            TokenIssuer::forge(&json!({ "alg": "ES256", "kid": "k1" }), &claims, &[0; 64]),
        ),
        ("a signature cut to nothing", format!("{}.{}.", parts[0], parts[1])),
        ("the key in the token", forged_with_own_key(&claims)),
        (
            "the key by address",
            TokenIssuer::forge(
                &json!({ "alg": "ES256", "jku": "http://127.0.0.1:1/" }),
                &claims,
                &[1; 64],
            ),
        ),
        (
            "a file for a key",
            TokenIssuer::forge(
                &json!({ "alg": "ES256", "kid": "../../../dev/null" }),
                &claims,
                &[1; 64],
            ),
        ),
        (
            "a query for a key",
            TokenIssuer::forge(&json!({ "alg": "ES256", "kid": "k1' OR '1'='1" }), &claims, &[1; 64]),
        ),
        (
            "an extension that must be understood",
            signed(json!({ "alg": "ES256", "kid": "k1", "crit": ["exp"] }), &claims),
        ),
        (
            "a payload that is not encoded",
            signed(json!({ "alg": "ES256", "kid": "k1", "b64": false }), &claims),
        ),
        (
            "an encrypted token",
            format!("{}.{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[1], parts[2]),
        ),
        ("a claim twice", signed(json!({ "alg": "ES256", "kid": "k1" }), &twice)),
        ("too deep", signed(json!({ "alg": "ES256", "kid": "k1" }), &deep)),
        ("too large", signed(json!({ "alg": "ES256", "kid": "k1" }), &huge)),
        ("with a second part behind", format!("{good}.{}", parts[2])),
        ("two in one", format!("{good},{good}")),
    ];
    let send = |token: &str| get_with("/", &[("authorization", &format!("Bearer {token}"))]);
    assert_eq!(client.send(send(&good)).await.status, 200);
    for (what, token) in cases {
        let reply = client.send(send(&token)).await;
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
    }
    assert_eq!(client.send(get("/")).await.status, 200, "the connection goes on");
    assert_eq!(echo.app.counts().requests, 2);
}

/// Signed truly, with a key that stands in its own header.
fn forged_with_own_key(claims: &str) -> String {
    let forger = TokenIssuer::new("https://issuer.example", "k1");
    let header = json!({ "alg": "ES256", "jwk": forger.jwks()["keys"][0] });
    forger.sign_as(&header, claims)
}

#[tokio::test]
async fn spellings_of_a_path_and_a_host() {
    let mut world = MeshWorld::new();
    world.mesh_config(json!({ "pathNormalization": { "normalization": "DECODE_AND_MERGE_SLASHES" } }));
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let rules = json!([
        { "to": [{ "operation": { "paths": ["/admin", "/admin/*"] } }] },
        { "to": [{ "operation": { "hosts": ["secret.example", "secret.example:*"] } }] },
    ]);
    world.policy("no-admin", "echo", "DENY", rules);
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let status = async |head: &str| {
        let mut raw = RawHttp::new(client.raw(&echo.vip).await);
        raw.send(format!("{head}\r\n\r\n")).await.unwrap();
        raw.head().await.unwrap().status()
    };
    for path in [
        "/admin",
        "//admin",
        "/admin//x",
        "/%61dmin",
        "/%2e/admin",
        "/x/%2e%2e/admin",
        "/x/..%2fadmin",
        "/x%5c..%5cadmin",
        "/x\\..\\admin/y",
        "/x/.%2e/admin",
        "/%2fadmin",
        "http://echo/admin",
        "/admin?/../x",
        "/admin/..%2fadmin/x",
    ] {
        assert_eq!(
            status(&format!("GET {path} HTTP/1.1\r\nHost: echo")).await,
            403,
            "{path}"
        );
    }
    for path in ["/admin%00", "/admin\t", "admin", "/%2e%2e;/admin", "/admin#x y"] {
        let status = status(&format!("GET {path} HTTP/1.1\r\nHost: echo")).await;
        assert_eq!(status, 400, "{path}");
    }
    for host in [
        "secret.example",
        "SECRET.example",
        "secret.example.",
        "secret.example:80",
        "Secret.Example.:80",
    ] {
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}")).await, 403, "{host}");
    }
    for hosts in [
        "Host: secret.example%2e",
        "Host: x@secret.example",
        "Host: secret.example/x",
        "Host: x\r\nHost: secret.example",
        "Host: secret.example:080",
        "Host:",
    ] {
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{hosts}")).await, 400, "{hosts}");
    }
    assert_eq!(status("GET http://secret.example/ HTTP/1.1\r\nHost: x").await, 400);
    assert_eq!(echo.app.counts().requests, 0);
    assert_eq!(client.get(&echo.vip, "/administrator").await.status, 200);
}
