#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

fn config(address: &str, folder: &Path) -> ControlPlaneConfig {
    ControlPlaneConfig {
        address: address.to_owned(),
        root: folder.join("root-cert.pem"),
        token: folder.join("istio-token"),
        cluster: "Kubernetes".to_owned(),
    }
}

#[test]
fn addresses_are_host_and_port() {
    for (good, expected) in [
        ("istiod.istio-system.svc:15012", "istiod.istio-system.svc"),
        ("127.0.0.1:15012", "127.0.0.1"),
        ("[::1]:15012", "::1"),
    ] {
        assert_eq!(host(good).unwrap(), expected);
    }
    for bad in [
        "",
        "istiod",
        "istiod:",
        ":15012",
        "istiod:0",
        "istiod:99999",
        "me@istiod:1",
        "https://istiod:15012",
    ] {
        let error = ControlPlane::new(config(bad, Path::new("/"))).unwrap_err();
        assert!(error.reason.contains("expected host:port"), "{error}");
    }
    let strange = ControlPlaneConfig {
        cluster: "a\nb".to_owned(),
        ..config("istiod:15012", Path::new("/"))
    };
    assert!(ControlPlane::new(strange).unwrap_err().file.contains(r"a\nb"));
}

#[tokio::test]
async fn what_is_missing_is_told_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let plane = ControlPlane::new(config("127.0.0.1:1", folder.path())).unwrap();
    let missing = async || match plane.access().await {
        Err(error) => error.to_string(),
        Ok(access) => plane.ask(&access, "a/b", b"").await.unwrap_err().to_string(),
    };
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    assert!(missing().await.contains("root-cert.pem: cannot open it"));
    put("root-cert.pem", "garbage");
    assert!(missing().await.contains("istio-token: cannot open it"));
    put("istio-token", " \n");
    assert!(missing().await.contains("istio-token: expected a token, found nothing"));
    put("istio-token", "to\nken");
    assert!(missing().await.contains("found something else"));
    put("istio-token", "token\n");
    assert!(missing().await.contains("root-cert.pem: TLS settings"));
    put("root-cert.pem", &crate::testing::Ca::new().pem);
    assert!(missing().await.contains("connect: "));
}

#[tokio::test]
async fn a_token_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "secret\n").unwrap();
    let bearer = bearer(&path).await.unwrap();
    assert_eq!(bearer.as_bytes(), b"Bearer secret");
    assert!(!format!("{bearer:?}").contains("secret"));
}
