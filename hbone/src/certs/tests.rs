#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::files::{CHAIN, KEY, ROOTS};
use super::*;
use crate::testing::{Ca, Leaf, id};
use rcgen::{CertificateParams, KeyPair, SanType};
use std::path::Path;
use std::time::Duration;
use x509_parser::der_parser::parse_der;

fn write(folder: &Path, ca: &Ca, leaf: &Leaf) {
    std::fs::write(folder.join(ROOTS), &ca.pem).unwrap();
    std::fs::write(folder.join(CHAIN), &leaf.chain).unwrap();
    std::fs::write(folder.join(KEY), &leaf.key).unwrap();
}

fn leaf(ca: &Ca, account: &str) -> Leaf {
    ca.leaf(&id(account), |_| {})
}

#[test]
fn a_good_folder_loads() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    write(folder.path(), &ca, &leaf(&ca, "waypoint"));
    let identity = FileCerts::load(folder.path()).unwrap().current();
    assert_eq!(identity.id.as_str(), id("waypoint"));
    assert!(identity.is_valid_at(SystemTime::now()));
    assert!(!format!("{identity:?}").contains("PRIVATE"));
}

#[test]
fn errors_say_which_file_and_what() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let (good, other) = (leaf(&ca, "waypoint"), leaf(&ca, "waypoint"));
    let no_id = ca.leaf(&id("waypoint"), |params| {
        params.subject_alt_names = vec![SanType::DnsName("waypoint".try_into().unwrap())];
    });
    let cut = &good.chain[..good.chain.len() / 2];
    let text = |content: &str| Some(content.to_owned());
    for (file, content, word) in [
        (CHAIN, None, "cannot open"),
        (CHAIN, text(""), "found none"),
        (CHAIN, text(cut), "expected certificates in PEM"),
        (
            CHAIN,
            text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "leaf",
        ),
        (CHAIN, text(&no_id.chain), "SPIFFE"),
        (CHAIN, Some("x".repeat(1024 * 1024 + 1)), "1 MiB"),
        (KEY, text(&other.key), "key of the leaf"),
        (KEY, text(&good.chain), "private key"),
        (KEY, text(""), "private key"),
        (ROOTS, text(""), "found none"),
        (ROOTS, text("garbage"), "found none"),
    ] {
        write(folder.path(), &ca, &good);
        match &content {
            Some(content) => std::fs::write(folder.path().join(file), content).unwrap(),
            None => std::fs::remove_file(folder.path().join(file)).unwrap(),
        }
        let error = FileCerts::load(folder.path()).unwrap_err();
        // A certificate without an id, or another one, shows at the chain; a key that is none of both at the key.
        assert!(error.file.ends_with(file), "{error}");
        assert!(error.reason.contains(word), "{error}");
        assert!(!error.to_string().contains(&good.key[40..80]));
    }
}

/// PKCS#8 wraps SEC1 for elliptic curves and PKCS#1 for RSA: both come out of it here.
#[test]
fn keys_may_be_pkcs8_sec1_or_pkcs1() {
    let ca = Ca::new();
    for (algorithm, label) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "EC PRIVATE KEY"),
        (&rcgen::PKCS_RSA_SHA256, "RSA PRIVATE KEY"),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id("waypoint").as_str().try_into().unwrap())];
        let chain = params.self_signed(&key).unwrap().pem();
        let der = key.serialize_der();
        let (_, pkcs8) = parse_der(&der).unwrap();
        let inner = pkcs8.as_sequence().unwrap()[2].as_slice().unwrap();
        for pem in [key.serialize_pem(), pem_of(label, inner)] {
            Identity::from_pem(chain.as_bytes(), pem.as_bytes(), ca.pem.as_bytes()).unwrap();
        }
    }
}

fn pem_of(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in der.chunks(3) {
        let word = three
            .iter()
            .chain([0; 2].iter())
            .take(3)
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        for at in 0..4 {
            let sextet = ALPHABET[(word >> (18 - 6 * at)) as usize & 63] as char;
            text.push(if at <= three.len() { sextet } else { '=' });
        }
    }
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A watched folder, and the account of the identity in use after the watcher has had its time.
struct Watched {
    folder: tempfile::TempDir,
    certs: Arc<FileCerts>,
}

impl Watched {
    fn new(ca: &Ca, first: &Leaf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), ca, first);
        let certs = FileCerts::load(folder.path()).unwrap();
        tokio::spawn(Arc::clone(&certs).watch(|_| ()));
        Self { folder, certs }
    }

    async fn account(&self) -> String {
        tokio::time::sleep(Duration::from_secs(10)).await;
        self.certs.current().id.service_account().to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_taken_and_unusable_ones_are_not() {
    let ca = Ca::new();
    let watched = Watched::new(&ca, &leaf(&ca, "first"));
    let second = leaf(&ca, "second");
    let chain = watched.folder.path().join(CHAIN);

    // The chain alone, as when a writer is half done.
    std::fs::write(&chain, &second.chain).unwrap();
    assert_eq!(watched.account().await, "first");
    std::fs::write(watched.folder.path().join(KEY), &second.key).unwrap();
    assert_eq!(watched.account().await, "second");

    for garbage in ["", "garbage", &second.chain[..100]] {
        std::fs::write(&chain, garbage).unwrap();
        assert_eq!(watched.account().await, "second");
    }
    std::fs::remove_file(&chain).unwrap();
    assert_eq!(watched.account().await, "second");

    let expired = ca.leaf(&id("expired"), |params| {
        params.not_after = time::OffsetDateTime::now_utc() - time::Duration::HOUR;
    });
    write(watched.folder.path(), &ca, &expired);
    assert_eq!(watched.account().await, "second");
    write(watched.folder.path(), &ca, &leaf(&ca, "third"));
    assert_eq!(watched.account().await, "third");
}

/// A chain cut between two certificates is a good chain: only the second look shows that it is being written.
#[tokio::test(start_paused = true)]
async fn files_that_are_being_written_are_left_alone() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    write(folder.path(), &ca, &leaf(&ca, "first"));
    let certs = FileCerts::load(folder.path()).unwrap();
    let second = leaf(&ca, "second");
    write(folder.path(), &ca, &second);
    let reading = tokio::spawn({
        let certs = Arc::clone(&certs);
        async move { certs.reread().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let whole = format!("{}{}", second.chain, ca.pem);
    std::fs::write(folder.path().join(CHAIN), whole).unwrap();
    reading.await.unwrap();
    assert_eq!(certs.current().id.service_account(), "first");
    certs.reread().await;
    assert_eq!(certs.current().id.service_account(), "second");
}

#[tokio::test(start_paused = true)]
async fn what_has_not_changed_is_not_a_new_identity() {
    let ca = Ca::new();
    let first = leaf(&ca, "first");
    let watched = Watched::new(&ca, &first);
    let before = watched.certs.current();
    write(watched.folder.path(), &ca, &first);
    watched.account().await;
    std::fs::remove_file(watched.folder.path().join(KEY)).unwrap();
    watched.account().await;
    write(watched.folder.path(), &ca, &first);
    watched.account().await;
    assert!(Arc::ptr_eq(&before, &watched.certs.current()));
}

/// As Kubernetes mounts a Secret: files are links through `..data`, which is replaced by rename.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn swapped_links_are_followed() {
    use std::os::unix::fs::symlink;
    let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let publish = |version: &str, leaf: &Leaf| {
        let data = folder.path().join(version);
        std::fs::create_dir(&data).unwrap();
        write(&data, &ca, leaf);
        symlink(version, folder.path().join("..tmp")).unwrap();
        std::fs::rename(folder.path().join("..tmp"), folder.path().join("..data")).unwrap();
    };
    publish("..1", &leaf(&ca, "first"));
    for file in [ROOTS, CHAIN, KEY] {
        symlink(Path::new("..data").join(file), folder.path().join(file)).unwrap();
    }
    let certs = FileCerts::load(folder.path()).unwrap();
    tokio::spawn(Arc::clone(&certs).watch(|_| ()));
    assert_eq!(certs.current().id.service_account(), "first");
    publish("..2", &leaf(&ca, "second"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(certs.current().id.service_account(), "second");
}

fn number(certs: &FileCerts, serial: u64, ca: &Ca) -> bool {
    use rustls::pki_types::UnixTime;
    let leaf = CertificateDer::from_pem_slice(ca.numbered("client", serial).chain.as_bytes()).unwrap();
    let trust = &certs.current().trust;
    trust
        .verify(&leaf, &[], UnixTime::now(), crate::trust::Usage::Client)
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn crls_come_change_and_go() {
    let ca = Ca::new();
    let watched = Watched::new(&ca, &leaf(&ca, "first"));
    let folder = watched.folder.path();
    assert!(number(&watched.certs, 1, &ca));
    for name in files::CRLS {
        std::fs::write(folder.join(name), ca.crl(&[1])).unwrap();
        watched.account().await;
        assert!(!number(&watched.certs, 1, &ca), "{name}");
        std::fs::write(folder.join(name), ca.crl(&[2])).unwrap();
        watched.account().await;
        assert!(number(&watched.certs, 1, &ca), "{name}");
        assert!(!number(&watched.certs, 2, &ca), "{name}");
        std::fs::write(folder.join(name), "").unwrap();
        watched.account().await;
        assert!(number(&watched.certs, 2, &ca), "{name}");
        std::fs::write(folder.join(name), ca.crl(&[3])).unwrap();
        watched.account().await;
        std::fs::remove_file(folder.join(name)).unwrap();
        watched.account().await;
        assert!(number(&watched.certs, 3, &ca), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn broken_crls_keep_the_last_good_ones_and_hold_no_rotation_up() {
    let ca = Ca::new();
    let watched = Watched::new(&ca, &leaf(&ca, "first"));
    let crl = watched.folder.path().join(files::CRLS[0]);
    std::fs::write(&crl, ca.crl(&[1])).unwrap();
    watched.account().await;
    for garbage in ["garbage", &ca.crl(&[2])[..100]] {
        std::fs::write(&crl, garbage).unwrap();
        watched.account().await;
        assert!(!number(&watched.certs, 1, &ca), "{garbage}");
    }
    write(watched.folder.path(), &ca, &leaf(&ca, "second"));
    assert_eq!(watched.account().await, "second");
    assert!(!number(&watched.certs, 1, &ca));
    // From the start there is no last good state.
    let error = FileCerts::load(watched.folder.path()).unwrap_err();
    assert!(error.file.ends_with(files::CRLS[0]), "{error}");
}
