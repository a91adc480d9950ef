#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

fn shown(text: &str) -> Result<String, &'static str> {
    Place::parse(text).map(|place| show(&place))
}

fn show(place: &Place) -> String {
    let Place {
        is_tls,
        host,
        port,
        target,
        ..
    } = place;
    format!("{} {host} {port} {target}", if *is_tls { "tls" } else { "clear" })
}

#[test]
fn places() {
    for (text, want) in [
        ("https://issuer.example/keys?x=1", "tls issuer.example 443 /keys?x=1"),
        ("http://Keys.auth.svc:8080", "clear keys.auth.svc 8080 /"),
        ("https://[::1]:8443/a", "tls ::1 8443 /a"),
    ] {
        assert_eq!(shown(text).as_deref(), Ok(want), "{text}");
    }
    for text in [
        "",
        "/keys",
        "keys.example/x",
        "file:///etc/passwd",
        "ftp://a/b",
        "https://",
        "https://u:p@h/k",
        "https://h:0/",
        "https://h:99999/",
        "https://h:/",
        "gopher://h/",
    ] {
        assert!(shown(text).is_err(), "{text}");
    }
    assert!(shown(&format!("https://h/{}", "x".repeat(3000))).is_err());
}

#[test]
fn redirects_stay_with_tls() {
    let place = Place::parse("https://a.example:8443/x").unwrap();
    for (location, want) in [
        ("/y", Ok("tls a.example 8443 /y")),
        ("https://b.example/", Ok("tls b.example 443 /")),
        ("//b.example/z", Ok("tls b.example 443 /z")),
        ("http://a.example/", Err(())),
        ("y", Err(())),
        ("file:///etc/passwd", Err(())),
    ] {
        let got = place.follow(location).map(|place| show(&place)).map_err(|_| ());
        assert_eq!(got.as_deref().map_err(|error| *error), want, "{location}");
    }
    let clear = Place::parse("http://a.example/x").unwrap();
    assert_eq!(
        show(&clear.follow("https://b.example/").unwrap()),
        "tls b.example 443 /"
    );
}
