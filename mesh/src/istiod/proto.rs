//! The messages of delta xDS (Envoy's `discovery.proto`) and of `istio.workload.Address` (Istio's `workload.proto`), as far
//! as a waypoint writes and reads them, by hand: no `protoc` is needed, and what is not here is skipped on reading.
//!
//! Enumerations are numbers here: what they mean, and what an unknown one does, is said where they are read.

use prost::{Message, Oneof};
use std::collections::{BTreeMap, HashMap};

/// `DeltaDiscoveryRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DeltaRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) node: Option<Node>,
    #[prost(string, tag = "2")]
    pub(super) type_url: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(super) initial_resource_versions: BTreeMap<String, String>,
    #[prost(string, tag = "6")]
    pub(super) response_nonce: String,
    #[prost(message, optional, tag = "7")]
    pub(super) error_detail: Option<Status>,
}

/// `config.core.v3.Node`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<Struct>,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) fields: BTreeMap<String, Text>,
}

/// `google.protobuf.Value` that is a text.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Text {
    #[prost(string, optional, tag = "3")]
    pub(super) text: Option<String>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

/// `DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DeltaResponse {
    #[prost(message, repeated, tag = "2")]
    pub(super) resources: Vec<Resource>,
    #[prost(string, tag = "4")]
    pub(super) type_url: String,
    #[prost(string, tag = "5")]
    pub(super) nonce: String,
    #[prost(string, repeated, tag = "6")]
    pub(super) removed_resources: Vec<String>,
}

/// `Resource`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(string, tag = "1")]
    pub(super) version: String,
    #[prost(message, optional, tag = "2")]
    pub(super) resource: Option<Any>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `istio.workload.Address`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Address {
    #[prost(oneof = "Told", tags = "1, 2")]
    pub(super) told: Option<Told>,
}

/// `Address.type`.
#[derive(Clone, PartialEq, Oneof)]
#[allow(clippy::large_enum_variant)] // there is one at a time
pub(super) enum Told {
    #[prost(message, tag = "1")]
    Workload(Workload),
    #[prost(message, tag = "2")]
    Service(Service),
}

/// `Service`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Service {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) namespace: String,
    #[prost(string, tag = "3")]
    pub(super) hostname: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) addresses: Vec<NetworkAddress>,
    #[prost(message, repeated, tag = "5")]
    pub(super) ports: Vec<Port>,
    #[prost(string, repeated, tag = "6")]
    pub(super) subject_alt_names: Vec<String>,
    #[prost(message, optional, tag = "7")]
    pub(super) waypoint: Option<GatewayAddress>,
    #[prost(message, optional, tag = "8")]
    pub(super) load_balancing: Option<LoadBalancing>,
    #[prost(message, repeated, tag = "13")]
    pub(super) weighted_waypoints: Vec<WeightedWaypoint>,
}

/// `LoadBalancing`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LoadBalancing {
    #[prost(int32, repeated, tag = "1")]
    pub(super) routing_preference: Vec<i32>,
    #[prost(int32, tag = "2")]
    pub(super) mode: i32,
    #[prost(int32, tag = "3")]
    pub(super) health_policy: i32,
}

/// `Workload`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Workload {
    #[prost(string, tag = "20")]
    pub(super) uid: String,
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) namespace: String,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) addresses: Vec<Vec<u8>>,
    #[prost(string, tag = "21")]
    pub(super) hostname: String,
    #[prost(string, tag = "4")]
    pub(super) network: String,
    #[prost(int32, tag = "5")]
    pub(super) tunnel_protocol: i32,
    #[prost(string, tag = "6")]
    pub(super) trust_domain: String,
    #[prost(string, tag = "7")]
    pub(super) service_account: String,
    #[prost(message, optional, tag = "8")]
    pub(super) waypoint: Option<GatewayAddress>,
    #[prost(message, optional, tag = "19")]
    pub(super) network_gateway: Option<GatewayAddress>,
    #[prost(string, tag = "9")]
    pub(super) node: String,
    #[prost(string, tag = "10")]
    pub(super) canonical_name: String,
    #[prost(string, tag = "11")]
    pub(super) canonical_revision: String,
    #[prost(int32, tag = "12")]
    pub(super) workload_type: i32,
    #[prost(string, tag = "13")]
    pub(super) workload_name: String,
    #[prost(map = "string, message", tag = "22")]
    pub(super) services: HashMap<String, PortList>,
    #[prost(int32, tag = "17")]
    pub(super) status: i32,
    #[prost(string, tag = "18")]
    pub(super) cluster_id: String,
    #[prost(message, optional, tag = "24")]
    pub(super) locality: Option<Locality>,
    #[prost(int32, tag = "25")]
    pub(super) network_mode: i32,
    #[prost(message, optional, tag = "27")]
    pub(super) capacity: Option<Number>,
}

/// `google.protobuf.UInt32Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Number {
    #[prost(uint32, tag = "1")]
    pub(super) value: u32,
}

/// `Locality`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Locality {
    #[prost(string, tag = "1")]
    pub(super) region: String,
    #[prost(string, tag = "2")]
    pub(super) zone: String,
}

/// `PortList`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PortList {
    #[prost(message, repeated, tag = "1")]
    pub(super) ports: Vec<Port>,
}

/// `Port`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Port {
    #[prost(uint32, tag = "1")]
    pub(super) service_port: u32,
    #[prost(uint32, tag = "2")]
    pub(super) target_port: u32,
    #[prost(int32, tag = "3")]
    pub(super) app_protocol: i32,
}

/// `GatewayAddress`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GatewayAddress {
    #[prost(oneof = "GatewayPlace", tags = "1, 2")]
    pub(super) destination: Option<GatewayPlace>,
    #[prost(uint32, tag = "3")]
    pub(super) hbone_mtls_port: u32,
}

/// `GatewayAddress.destination`.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum GatewayPlace {
    #[prost(message, tag = "1")]
    Host(NamespacedHostname),
    #[prost(message, tag = "2")]
    Address(NetworkAddress),
}

/// `WeightedWaypoint`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WeightedWaypoint {
    #[prost(message, optional, tag = "1")]
    pub(super) destination: Option<GatewayAddress>,
}

/// `NetworkAddress`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NetworkAddress {
    #[prost(string, tag = "1")]
    pub(super) network: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) address: Vec<u8>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) length: Option<u32>,
}

/// `NamespacedHostname`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NamespacedHostname {
    #[prost(string, tag = "1")]
    pub(super) namespace: String,
    #[prost(string, tag = "2")]
    pub(super) hostname: String,
}
