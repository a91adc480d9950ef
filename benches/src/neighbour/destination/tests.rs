#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn heads_are_counted_however_they_are_cut() {
    let requests = "GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\nx: \r\r\n\r\n";
    for cut in 0..requests.len() {
        let (first, rest) = requests.split_at(cut);
        let mut heads = Heads::default();
        let counted = heads.ended_in(first.as_bytes()) + heads.ended_in(rest.as_bytes());
        assert_eq!(counted, 2, "cut at {cut}");
    }
}
