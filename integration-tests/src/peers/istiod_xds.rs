//! istiod as it tells Services and workloads: delta xDS over TLS. It keeps the protocol's rules, or says what the test wants
//! it to say.

pub mod messages;

use super::istiod_server::{Desk, IstiodServer, begin, framed};
use super::waypoint_process::Launch;
use bytes::{Buf, Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderMap, Request};
use messages::{ADDRESS, Address, Any, DeltaRequest, DeltaResponse, Resource, Service, Told, Workload};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How a call began.
#[derive(Clone, Debug)]
pub struct Hello {
    /// `authorization`.
    pub authorization: String,
    /// `clusterid`.
    pub cluster: String,
    /// The first message.
    pub request: DeltaRequest,
}

/// A running istiod, with the files that its clients need: `root-cert.pem` and `istio-token`.
pub struct IstiodXds(IstiodServer<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Version and value by name.
    told: BTreeMap<String, (String, Vec<u8>)>,
    calls: Vec<UnboundedSender<Vec<u8>>>,
    hellos: Vec<Hello>,
    /// ACKs and NACKs.
    replies: Vec<DeltaRequest>,
    number: u64,
}

impl IstiodXds {
    /// One that has nothing to tell.
    pub async fn start() -> Self {
        Self(IstiodServer::start(Mutex::default()).await)
    }

    /// What makes a waypoint ask it.
    pub fn launch(&self) -> Launch {
        Launch::default()
            .env("XDS_ADDRESS", format!("https://{}", self.0.address()))
            .arg("--xds-root", self.0.root().display())
            .arg("--xds-token", self.0.token().display())
    }

    /// Replaces the token, as a kubelet does.
    pub fn put_token(&self, token: &str) {
        self.0.put_token(token);
    }

    /// Tells a Service, or tells it anew.
    pub fn service(&self, service: &Service) {
        self.put(&service.key(), Told::Service(service.clone()));
    }

    /// Tells a workload, or tells it anew.
    pub fn workload(&self, workload: &Workload) {
        self.put(&workload.uid, Told::Workload(workload.clone()));
    }

    fn put(&self, name: &str, told: Told) {
        let value = Address { told: Some(told) }.encode_to_vec();
        let mut state = self.0.desk.lock().unwrap();
        state.number += 1;
        let version = state.number.to_string();
        state.told.insert(name.to_owned(), (version.clone(), value.clone()));
        let resource = resource(name, &version, value);
        state.tell(vec![resource], vec![]);
    }

    /// Takes something back.
    pub fn remove(&self, name: &str) {
        let mut state = self.0.desk.lock().unwrap();
        state.told.remove(name);
        state.tell(vec![], vec![name.to_owned()]);
    }

    /// Says this on all open calls, whatever it is; it stays no part of the state.
    pub fn say(&self, answer: &DeltaResponse) {
        self.say_bytes(&answer.encode_to_vec());
    }

    /// The same with bytes that need not be a message.
    pub fn say_bytes(&self, message: &[u8]) {
        self.say_raw(framed(message));
    }

    /// The same without gRPC's prefix.
    pub fn say_raw(&self, bytes: Vec<u8>) {
        self.0.desk.lock().unwrap().send(&bytes);
    }

    /// How calls began, the latest last.
    pub fn hellos(&self) -> Vec<Hello> {
        self.0.desk.lock().unwrap().hellos.clone()
    }

    /// The answers to its answers: the number of ACKs, and what NACKs say.
    pub fn replies(&self) -> (usize, Vec<String>) {
        let state = self.0.desk.lock().unwrap();
        let (nacks, acks): (Vec<_>, Vec<_>) = state.replies.iter().partition(|reply| reply.error_detail.is_some());
        let said = nacks.iter().filter_map(|nack| nack.error_detail.as_ref());
        (acks.len(), said.map(|status| status.message.clone()).collect())
    }

    /// Stops listening; connections end. What it has to tell may change meanwhile.
    pub async fn stop(&mut self) {
        self.0.stop().await;
    }

    /// Listens again on the same port.
    pub async fn start_again(&mut self) {
        self.0.start_again().await;
    }
}

/// An `Address` of this name and version.
pub fn resource(name: &str, version: &str, value: Vec<u8>) -> Resource {
    Resource {
        name: name.to_owned(),
        version: version.to_owned(),
        resource: Some(Any {
            type_url: ADDRESS.to_owned(),
            value,
        }),
    }
}

impl State {
    fn tell(&mut self, resources: Vec<Resource>, removed_resources: Vec<String>) {
        let answer = self.answer(resources, removed_resources);
        self.send(&answer);
    }

    fn answer(&mut self, resources: Vec<Resource>, removed_resources: Vec<String>) -> Vec<u8> {
        self.number += 1;
        let answer = DeltaResponse {
            resources,
            type_url: ADDRESS.to_owned(),
            nonce: format!("nonce-{}", self.number),
            removed_resources,
        };
        framed(&answer.encode_to_vec())
    }

    fn send(&mut self, bytes: &[u8]) {
        self.calls.retain(|call| call.send(bytes.to_vec()).is_ok());
    }

    /// What a client with these versions does not have: the first answer of a call.
    fn greet(&mut self, hello: Hello) -> UnboundedReceiver<Vec<u8>> {
        let known = &hello.request.initial_resource_versions;
        let news = self
            .told
            .iter()
            .filter(|(name, (version, _))| known.get(*name) != Some(version));
        let news = news
            .map(|(name, (version, value))| resource(name, version, value.clone()))
            .collect();
        let gone = known
            .keys()
            .filter(|name| !self.told.contains_key(*name))
            .cloned()
            .collect();
        let (call, said) = unbounded_channel();
        let first = self.answer(news, gone);
        call.send(first).unwrap();
        self.calls.push(call);
        self.hellos.push(hello);
        said
    }
}

impl Desk for Mutex<State> {
    async fn answer(self: Arc<Self>, request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
        assert_eq!(
            request.uri().path(),
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
        );
        let (head, body) = request.into_parts();
        let mut requests = Requests {
            body,
            buffer: BytesMut::new(),
        };
        let Some(first) = requests.next().await else { return };
        assert_eq!(first.type_url, ADDRESS);
        let hello = hello(&head.headers, first);
        let mut said = self.lock().unwrap().greet(hello);
        let Some(mut answers) = begin(&mut respond) else { return };
        loop {
            tokio::select! {
                bytes = said.recv() => {
                    let Some(bytes) = bytes else { return };
                    if answers.send_data(bytes.into(), false).is_err() {
                        return;
                    }
                }
                reply = requests.next() => {
                    let Some(reply) = reply else { return };
                    assert!(!reply.response_nonce.is_empty() && reply.node.is_none(), "{reply:?}");
                    self.lock().unwrap().replies.push(reply);
                }
            }
        }
    }
}

fn hello(headers: &HeaderMap, request: DeltaRequest) -> Hello {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    Hello {
        authorization: header("authorization"),
        cluster: header("clusterid"),
        request,
    }
}

/// The messages of a client.
struct Requests {
    body: h2::RecvStream,
    buffer: BytesMut,
}

impl Requests {
    /// `None`: the call is over.
    async fn next(&mut self) -> Option<DeltaRequest> {
        loop {
            if self.buffer.len() >= 5 {
                let length = u32::from_be_bytes(self.buffer[1..5].try_into().unwrap()) as usize;
                if self.buffer.len() >= 5 + length {
                    self.buffer.advance(5);
                    let message = self.buffer.split_to(length);
                    return Some(DeltaRequest::decode(message).unwrap());
                }
            }
            let piece = self.body.data().await?.ok()?;
            let _ = self.body.flow_control().release_capacity(piece.len());
            self.buffer.extend_from_slice(&piece);
        }
    }
}
