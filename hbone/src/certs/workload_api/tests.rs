#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

#[test]
fn addresses_are_unix_sockets() {
    for good in ["unix:/run/agent.sock", "unix:///run/agent.sock", "/run/agent.sock"] {
        assert_eq!(socket(good).unwrap(), Path::new("/run/agent.sock"));
    }
    for bad in [
        "",
        "tcp://127.0.0.1:8081",
        "unix:run/agent.sock",
        "unix://host/run/agent.sock",
    ] {
        let error = socket(bad).unwrap_err();
        assert!(error.reason.contains("unix:/run"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_not_there_is_waited_for() {
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("agent.sock").display());
    let error = WorkloadApi::connect(&address, Duration::from_secs(20))
        .await
        .unwrap_err();
    assert!(error.reason.contains("connect"), "{error}");
    assert!(begun.elapsed() > Duration::from_secs(5));
}
