//! Who a peer is.

use request::SpiffeId;

/// An id is what it was read from, and says no more than stands there.
pub fn spiffe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(id) = SpiffeId::parse(text) else { return };
    assert_eq!(id.as_str(), text);
    assert_eq!(format!("spiffe://{}", id.principal()), text);
    assert_eq!(SpiffeId::parse(id.as_str()).as_ref(), Ok(&id));
    let (domain, namespace, account) = (id.trust_domain(), id.namespace(), id.service_account());
    assert!(text.starts_with(&format!("spiffe://{domain}/")) && !domain.is_empty());
    assert!(!text.contains("//ns/") || domain == "ns", "{text}");
    assert_eq!(namespace.is_empty(), account.is_empty(), "{text}");
    if namespace.is_empty() {
        return;
    }
    let whole = format!("{text}/");
    assert!(whole.contains(&format!("/ns/{namespace}/")), "{text}");
    assert!(whole.contains(&format!("/sa/{account}/")), "{text}");
    let plain = SpiffeId::of(domain, namespace, account).expect("parts of an id make an id");
    assert_eq!(plain.namespace(), namespace);
    if text == format!("spiffe://{domain}/ns/{namespace}/sa/{account}") {
        assert_eq!(plain, id);
    }
}
