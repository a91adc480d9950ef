//! Where a request goes: paths, authorities, heads.

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use request::{Authority, Head, Mode, Path};

const MODES: [Mode; 4] = [Mode::None, Mode::Base, Mode::MergeSlashes, Mode::DecodeAndMergeSlashes];

/// A normalised path is one for good, in every mode, and holds none of what its mode takes out.
pub fn path(bytes: &[u8]) {
    let Ok(raw) = std::str::from_utf8(bytes) else { return };
    for mode in MODES {
        if let Ok(path) = Path::normalise(raw, mode) {
            normal(&path, mode);
        }
    }
}

/// What is read as an authority is written as it is read.
pub fn authority(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(authority) = Authority::parse(text) else { return };
    let again = Authority::parse(&authority.to_string());
    assert_eq!(again.as_ref(), Ok(&authority), "{text:?}");
    let host = authority.host();
    assert!(!host.is_empty(), "{text:?}");
    let strange = |c: char| !c.is_ascii_alphanumeric() && !".-_:[]".contains(c);
    assert!(
        !host.contains(|c: char| strange(c) || c.is_ascii_uppercase()),
        "{host:?}"
    );
    let bare = host.trim_matches(['[', ']']);
    assert_eq!(authority.ip(), bare.parse().ok(), "{host:?}");
    if let Some(port) = authority.port() {
        assert_eq!(authority.to_string(), format!("{host}:{port}"));
    }
}

/// A head that is taken has one authority and a normal path. The input is a request as HTTP/1.1 writes it, less strict.
pub fn head(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), target.parse::<Uri>()) else {
        return;
    };
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri) = (method, uri);
    if first.next() == Some("HTTP/2") {
        parts.version = Version::HTTP_2;
    }
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.trim())) {
            parts.headers.append(name, value);
        }
    }
    for mode in MODES {
        let Ok(head) = Head::parse(&parts, mode) else { continue };
        normal(&head.path, mode);
        authority(head.authority.as_str().as_bytes());
        let sent = head.path_and_query();
        assert!(sent.bytes().all(|byte| byte.is_ascii_graphic()), "{sent:?}");
        assert!(parts.method == Method::OPTIONS || head.path.as_str() != "*");
    }
}

fn normal(path: &Path, mode: Mode) {
    let text = path.as_str();
    assert_eq!(Path::normalise(text, mode).as_ref(), Ok(path), "{mode:?} again");
    assert!(text.starts_with('/') || text == "*", "{text:?}");
    assert!(
        text.bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#'),
        "{text:?}"
    );
    if mode == Mode::None {
        return;
    }
    let lower = text.to_ascii_lowercase();
    assert!(
        !text.contains('\\') && !lower.contains("%00") && !lower.contains("%2e"),
        "{mode:?} {text:?}"
    );
    assert!(
        !text.split('/').any(|segment| matches!(segment, "." | "..")),
        "{mode:?} {text:?}"
    );
    if mode != Mode::Base {
        assert!(!text.contains("//"), "{mode:?} {text:?}");
    }
    if mode == Mode::DecodeAndMergeSlashes {
        assert!(!lower.contains("%2f") && !lower.contains("%5c"), "{text:?}");
    }
}
