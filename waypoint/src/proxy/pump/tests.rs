#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::http1::Framing;
use crate::proxy::client::H2Client;
use crate::proxy::extended_connect::Wish;
use crate::proxy::upstream::RequestHead;
use bytes::Bytes;
use h2::{RecvStream, SendStream, client, server};
use http::{HeaderValue, Request, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::duplex;
use tokio::time::timeout;

/// With paused time this is no wait: it passes when nobody has anything to do.
const STUCK: Duration = Duration::from_secs(3600);

/// A request between a client and an endpoint, all in memory.
struct Pumped {
    client: Client<'static>,
    upstream: Upstream,
    body: Body,
    meter: Meter,
}

/// The same, with the far ends of both streams.
struct Ends {
    pumped: Pumped,
    request: SendStream<Bytes>,
    answer: client::ResponseFuture,
    received: RecvStream,
    respond: server::SendResponse<Bytes>,
}

async fn between() -> Ends {
    let (mut sender, mut accepting) = connected().await;
    let request = Request::post("http://shop/up").body(()).unwrap();
    let (answer, request) = sender.send_request(request, false).unwrap();
    let (accepted, respond) = accepting.recv().await.unwrap();
    let client = Client::H2(Box::new(H2Client::new(
        &HeaderMap::new(),
        accepted.into_body(),
        respond,
        Wish::Answer,
    )));
    let (mut sender, mut accepting) = connected().await;
    let head = RequestHead {
        method: &Method::POST,
        target: "/up",
        host: &HeaderValue::from_static("shop"),
        headers: &HeaderMap::new(),
        framing: Framing::Chunked,
        upgrade: None,
        extended: false,
    };
    let upstream = Upstream::start_h2(&mut sender, Arc::default(), &head).unwrap();
    let (accepted, respond) = accepting.recv().await.unwrap();
    Ends {
        pumped: Pumped {
            client,
            upstream,
            body: Body::new(true, Early::default(), Tee::default(), false),
            meter: Meter::default(),
        },
        request,
        answer,
        received: accepted.into_body(),
        respond,
    }
}

impl Pumped {
    async fn head(&mut self) -> Result<response::Parts, Fault> {
        let waiting = await_response(
            &mut self.client,
            &mut self.upstream,
            &mut self.body,
            &Method::POST,
            &mut self.meter,
        );
        timeout(STUCK, waiting).await.expect("stuck before the answer")
    }

    async fn answer(&mut self, head: response::Parts) -> Result<(), Fault> {
        let framing = self.upstream.response_framing();
        self.client
            .start_response(&Method::POST, head.status, head.headers, framing)
            .unwrap();
        let streaming = stream_response(&mut self.client, &mut self.upstream, &mut self.body, &mut self.meter);
        timeout(STUCK, streaming).await.expect("stuck in the answer")
    }
}

type Accepted = (Request<RecvStream>, server::SendResponse<Bytes>);

/// An HTTP/2 connection in memory. Its tasks go on by themselves.
async fn connected() -> (
    client::SendRequest<Bytes>,
    tokio::sync::mpsc::UnboundedReceiver<Accepted>,
) {
    let (near, far) = duplex(16 * 1024);
    let (accepted, accepting) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut connection = server::handshake(far).await.unwrap();
        while let Some(Ok(stream)) = connection.accept().await {
            let _ = accepted.send(stream);
        }
    });
    let (sender, connection) = client::handshake(near).await.unwrap();
    tokio::spawn(connection);
    (sender.ready().await.unwrap(), accepting)
}

async fn read_whole(mut stream: RecvStream) -> usize {
    let mut length = 0;
    while let Some(data) = stream.data().await {
        let data = data.unwrap();
        stream.flow_control().release_capacity(data.len()).unwrap();
        length += data.len();
    }
    length
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_when_the_answer_begins_still_goes_up() {
    // More than the endpoint's window; the rest finds room in our queue.
    const BODY: usize = 100 * 1024;
    let Ends {
        mut pumped,
        mut request,
        answer,
        received,
        mut respond,
    } = between().await;
    request.send_data(Bytes::from(vec![b'x'; BODY]), true).unwrap();
    let answering = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut answering = respond.send_response(Response::new(()), false).unwrap();
        // Only when the answer is under way.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let length = read_whole(received).await;
        answering.send_data(Bytes::from(length.to_string()), true).unwrap();
    });
    let head = pumped.head().await.unwrap();
    assert!(pumped.body.sent, "nothing is held back: the test is of no use");
    pumped.answer(head).await.unwrap();
    answering.await.unwrap();
    let mut answer = answer.await.unwrap().into_body();
    assert_eq!(answer.data().await.unwrap().unwrap(), BODY.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resets_is_noticed_while_the_endpoint_takes_nothing() {
    let Ends {
        mut pumped,
        mut request,
        answer: _answer,
        received: _received,
        respond: _respond,
    } = between().await;
    request.send_data(Bytes::from(vec![b'x'; 1024 * 1024]), false).unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        request.send_reset(h2::Reason::CANCEL);
    });
    assert_eq!(pumped.head().await.unwrap_err(), Fault::Client(ClientFault::Gone));
    assert!(!pumped.body.read, "nothing was left to read: the test is of no use");
}

#[tokio::test(start_paused = true)]
async fn trailers_bring_no_identity() {
    let Ends {
        mut pumped,
        mut request,
        answer: _answer,
        received,
        mut respond,
    } = between().await;
    let mut trailers = HeaderMap::new();
    trailers.insert(
        "x-forwarded-client-cert",
        HeaderValue::from_static("URI=spiffe://forged"),
    );
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    request.send_trailers(trailers).unwrap();
    let arrived = tokio::spawn(async move {
        let mut received = received;
        assert!(received.data().await.is_none());
        let trailers = received.trailers().await.unwrap().unwrap();
        respond.send_response(Response::new(()), true).unwrap();
        trailers
    });
    pumped.head().await.unwrap();
    let arrived = arrived.await.unwrap();
    let names: Vec<_> = arrived.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-checksum"]);
}

#[test]
fn a_body_of_many_crumbs_is_not_held() {
    let mut body = Body::new(true, Early::default(), Tee::default(), false);
    for _ in 0..HELD_FRAMES {
        body.hold(&Frame::Data(Bytes::from_static(b"x")));
    }
    assert!(body.rewind());
    body.position = body.held.len();
    body.hold(&Frame::Data(Bytes::from_static(b"x")));
    assert!(!body.rewind());
    assert_eq!(body.held.len(), 0);
}

#[test]
fn what_no_attempt_will_need_is_let_go_once_it_is_sent() {
    let mut body = Body::new(true, Early::default(), Tee::default(), false);
    body.hold(&Frame::Data(Bytes::from_static(b"x")));
    assert!(body.rewind());
    body.release();
    assert_eq!(body.held.len(), 1, "this attempt has still to send it");
    body.position = 1;
    body.release();
    assert_eq!(body.held.capacity(), 0);
}
