#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

fn vector16(bytes: &[u8]) -> Vec<u8> {
    let mut all = (bytes.len() as u16).to_be_bytes().to_vec();
    all.extend(bytes);
    all
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut all = kind.to_be_bytes().to_vec();
    all.extend(vector16(data));
    all
}

fn sni(name: &[u8]) -> Vec<u8> {
    let mut entry = vec![HOST_NAME];
    entry.extend(vector16(name));
    extension(SERVER_NAME, &vector16(&entry))
}

/// The body of a ClientHello with these extensions.
fn body(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(32);
    body.extend([9; 32]);
    body.extend(vector16(&[0x13, 0x01, 0x13, 0x02]));
    body.extend([1, 0]);
    body.extend(vector16(&extensions.concat()));
    body
}

fn message(body: &[u8]) -> Vec<u8> {
    let mut message = vec![CLIENT_HELLO];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    message
}

/// Records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |piece: &[u8]| [vec![HANDSHAKE, 3, 1], vector16(piece)].concat();
    message.chunks(size).flat_map(record).collect()
}

fn hello(name: &str) -> Vec<u8> {
    let extensions = [
        extension(43, &[2, 3, 4]),
        sni(name.as_bytes()),
        extension(51, &[0; 1200]),
    ];
    message(&body(&extensions))
}

fn look(bytes: &[u8]) -> Result<Option<Opening>, NoOpening> {
    Hello::default().look(bytes)
}

fn named(name: &str) -> Result<Option<Opening>, NoOpening> {
    Ok(Some(Opening::Tls(Some(name.to_owned()))))
}

#[test]
fn the_name_is_found_however_the_message_is_cut() {
    for size in [1, 3, 100, 1 << 14] {
        assert_eq!(
            look(&records(&hello("db.Example.COM"), size)),
            named("db.example.com"),
            "{size}"
        );
    }
    let whole = records(&hello("a.example"), 700);
    let mut growing = Hello::default();
    for end in 0..whole.len() {
        assert_eq!(growing.look(&whole[..end]), Ok(None), "{end}");
    }
    assert_eq!(growing.look(&whole), named("a.example"));
    // What follows in the next record is the endpoint's: early data, for one.
    let early = [whole, vec![23, 3, 3, 0, 1, 0]].concat();
    assert_eq!(look(&early), named("a.example"));
}

#[test]
fn a_client_may_ask_for_no_name() {
    let none = Ok(Some(Opening::Tls(None)));
    assert_eq!(look(&records(&message(&body(&[])), 999)), none);
    let with_nothing = body(&[]);
    let without_extensions = &with_nothing[..with_nothing.len() - 2];
    assert_eq!(look(&records(&message(without_extensions), 999)), none);
}

#[test]
fn other_protocols_are_told_by_their_first_bytes() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\0",
        b"\x16\x02\x01",
        b"*1\r\n",
        b"\x80\x2e\x01\x03\x01",
    ] {
        assert_eq!(look(bytes), Ok(Some(Opening::Other)), "{bytes:?}");
    }
    assert_eq!(look(b""), Ok(None));
    assert_eq!(look(b"\x16"), Ok(None));
}

#[test]
fn hostile_hellos_are_refused() {
    let record = |message: &[u8]| records(message, 1 << 14);
    let malformed = |bytes: &[u8]| match look(bytes) {
        Err(NoOpening(why)) => why,
        other => panic!("{other:?}"),
    };
    let twice = body(&[sni(b"a.example"), sni(b"b.example")]);
    assert_eq!(malformed(&record(&message(&twice))), "two server names");
    let mut trailing = body(&[sni(b"a.example")]);
    trailing.push(0);
    assert_eq!(malformed(&record(&message(&trailing))), "bytes after the extensions");
    for name in [
        &b""[..],
        b".",
        b"a..b",
        b".a",
        b"a b",
        b"a\0.example",
        b"\xff.example",
        b"::1",
        &[b'a'; 254],
    ] {
        assert_eq!(
            malformed(&record(&message(&body(&[sni(name)])))),
            "server name",
            "{name:?}"
        );
    }
    let two_in_one = [vec![HOST_NAME], vector16(b"a"), vec![HOST_NAME], vector16(b"b")].concat();
    let two_in_one = body(&[extension(SERVER_NAME, &vector16(&two_in_one))]);
    assert_eq!(malformed(&record(&message(&two_in_one))), "server name list");
    let mut server_hello = hello("a.example");
    server_hello[0] = 2;
    assert_eq!(malformed(&record(&server_hello)), "no ClientHello");
    let longer = [hello("a.example"), vec![1]].concat();
    assert_eq!(malformed(&record(&longer)), "more than a ClientHello");
    assert_eq!(malformed(&[HANDSHAKE, 3, 1, 0, 0]), "record length");
    assert_eq!(malformed(&[HANDSHAKE, 3, 1, 0x40, 1]), "record length");
    let split = [records(&hello("a.example")[..20], 20), b"GET / HT".to_vec()].concat();
    assert_eq!(malformed(&split), "no handshake record");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_held() {
    let head = [HANDSHAKE, 3, 1, 0, 4, CLIENT_HELLO, 0, 0x40, 1];
    assert_eq!(look(&head), Err(TOO_LARGE));
    let crumbs = records(&hello(&"a.".repeat(100).replace("a.a.", "ab.")), 1);
    assert!(crumbs.len() < LONGEST_ON_WIRE);
    let long = message(&body(&[extension(51, &[0; 8000])]));
    assert_eq!(look(&records(&long, 1)[..LONGEST_ON_WIRE + 1]), Err(TOO_LARGE));
}

#[tokio::test(start_paused = true)]
async fn reading_is_bounded_in_time_and_keeps_what_it_read() {
    let (mut client, mut server) = tokio::io::duplex(64 * 1024);
    let whole = records(&hello("a.example"), 100);
    let mut first = BytesMut::from(&whole[..3]);
    client.write_all(&whole[3..]).await.unwrap();
    let opening = read(&mut first, &mut server).await;
    assert_eq!(opening, Ok(Opening::Tls(Some("a.example".to_owned()))));
    assert_eq!(first, whole[..]);

    let mut first = BytesMut::new();
    client.write_all(&whole[..50]).await.unwrap();
    assert_eq!(read(&mut first, &mut server).await, Err(SLOW));
    drop(client);
    assert_eq!(read(&mut first, &mut server).await, Err(GONE));
}

proptest! {
    #[test]
    fn whatever_comes_there_is_an_end(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = look(&bytes);
        let _ = look(&records(&message(&bytes), 77));
        let _ = look(&records(&message(&body(&[extension(SERVER_NAME, &bytes)])), 1 << 14));
    }

    #[test]
    fn a_hello_with_a_changed_byte_ends_too(at in 0_usize..300, to in any::<u8>()) {
        let mut bytes = records(&hello("a.example"), 1 << 14);
        bytes[at] = to;
        let _ = look(&bytes);
        prop_assert!(bytes.len() < LONGEST_ON_WIRE);
    }
}
