//! The messages of istiod's workload discovery, as far as tests send and read them (Envoy's `discovery.proto`, Istio's
//! `workload.proto`). Their names say what they are.

#![allow(missing_docs)]

use prost::{Message, Oneof};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// What is asked for, and the type of what is told.
pub const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";

#[derive(Clone, PartialEq, Message)]
pub struct DeltaRequest {
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    #[prost(string, tag = "2")]
    pub type_url: String,
    #[prost(string, repeated, tag = "3")]
    pub resource_names_subscribe: Vec<String>,
    #[prost(map = "string, string", tag = "5")]
    pub initial_resource_versions: HashMap<String, String>,
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    #[prost(message, optional, tag = "7")]
    pub error_detail: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<Struct>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Struct {
    #[prost(map = "string, message", tag = "1")]
    pub fields: HashMap<String, Text>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Text {
    #[prost(string, tag = "3")]
    pub text: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeltaResponse {
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Resource>,
    #[prost(string, tag = "4")]
    pub type_url: String,
    #[prost(string, tag = "5")]
    pub nonce: String,
    #[prost(string, repeated, tag = "6")]
    pub removed_resources: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(string, tag = "1")]
    pub version: String,
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Any>,
    #[prost(string, tag = "3")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Address {
    #[prost(oneof = "Told", tags = "1, 2")]
    pub told: Option<Told>,
}

#[derive(Clone, PartialEq, Oneof)]
#[allow(clippy::large_enum_variant)] // there are few of them
pub enum Told {
    #[prost(message, tag = "1")]
    Workload(Workload),
    #[prost(message, tag = "2")]
    Service(Service),
}

#[derive(Clone, PartialEq, Message)]
pub struct Service {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub hostname: String,
    #[prost(message, repeated, tag = "4")]
    pub addresses: Vec<NetworkAddress>,
    #[prost(message, repeated, tag = "5")]
    pub ports: Vec<Port>,
    #[prost(string, repeated, tag = "6")]
    pub subject_alt_names: Vec<String>,
    #[prost(message, optional, tag = "7")]
    pub waypoint: Option<GatewayAddress>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Workload {
    #[prost(string, tag = "20")]
    pub uid: String,
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub addresses: Vec<Vec<u8>>,
    #[prost(string, tag = "4")]
    pub network: String,
    #[prost(int32, tag = "5")]
    pub tunnel_protocol: i32,
    #[prost(string, tag = "6")]
    pub trust_domain: String,
    #[prost(string, tag = "7")]
    pub service_account: String,
    #[prost(message, optional, tag = "8")]
    pub waypoint: Option<GatewayAddress>,
    #[prost(message, optional, tag = "19")]
    pub network_gateway: Option<GatewayAddress>,
    #[prost(string, tag = "9")]
    pub node: String,
    #[prost(string, tag = "10")]
    pub canonical_name: String,
    #[prost(string, tag = "11")]
    pub canonical_revision: String,
    #[prost(string, tag = "13")]
    pub workload_name: String,
    #[prost(map = "string, message", tag = "22")]
    pub services: HashMap<String, PortList>,
    #[prost(int32, tag = "17")]
    pub status: i32,
    #[prost(string, tag = "18")]
    pub cluster_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct PortList {
    #[prost(message, repeated, tag = "1")]
    pub ports: Vec<Port>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Port {
    #[prost(uint32, tag = "1")]
    pub service_port: u32,
    #[prost(uint32, tag = "2")]
    pub target_port: u32,
    #[prost(int32, tag = "3")]
    pub app_protocol: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct GatewayAddress {
    #[prost(oneof = "GatewayPlace", tags = "1, 2")]
    pub destination: Option<GatewayPlace>,
    #[prost(uint32, tag = "3")]
    pub hbone_mtls_port: u32,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum GatewayPlace {
    #[prost(message, tag = "1")]
    Host(NamespacedHostname),
    #[prost(message, tag = "2")]
    Address(NetworkAddress),
}

#[derive(Clone, PartialEq, Message)]
pub struct NetworkAddress {
    #[prost(string, tag = "1")]
    pub network: String,
    #[prost(bytes = "vec", tag = "2")]
    pub address: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NamespacedHostname {
    #[prost(string, tag = "1")]
    pub namespace: String,
    #[prost(string, tag = "2")]
    pub hostname: String,
}

impl Service {
    /// `name.namespace` at this address of the default network, with one HTTP port, and with the waypoint `waypoint` of its
    /// namespace.
    pub fn new(namespace: &str, name: &str, vip: Ipv4Addr, (port, target): (u16, u16)) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            hostname: format!("{name}.{namespace}.svc.cluster.local"),
            addresses: vec![NetworkAddress::of("", vip.into())],
            ports: vec![Port {
                service_port: port.into(),
                target_port: target.into(),
                app_protocol: 1,
            }],
            waypoint: Some(GatewayAddress {
                destination: Some(GatewayPlace::Host(NamespacedHostname {
                    namespace: namespace.to_owned(),
                    hostname: format!("waypoint.{namespace}.svc.cluster.local"),
                })),
                hbone_mtls_port: 15008,
            }),
            ..Self::default()
        }
    }

    /// The name of its resource.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.hostname)
    }
}

impl Workload {
    /// A pod of Deployment and service account `name`, which speaks HBONE or does not, and is an endpoint of this Service.
    pub fn new(namespace: &str, name: &str, ip: Ipv4Addr, hbone: bool, service: &Service) -> Self {
        let ports = PortList {
            ports: service.ports.clone(),
        };
        Self {
            uid: format!("Kubernetes//Pod/{namespace}/{name}-x2x4k"),
            name: format!("{name}-x2x4k"),
            namespace: namespace.to_owned(),
            addresses: vec![ip.octets().to_vec()],
            tunnel_protocol: hbone.into(),
            service_account: name.to_owned(),
            canonical_name: name.to_owned(),
            canonical_revision: "v1".to_owned(),
            workload_name: name.to_owned(),
            services: HashMap::from([(service.key(), ports)]),
            cluster_id: "Kubernetes".to_owned(),
            ..Self::default()
        }
    }
}

impl NetworkAddress {
    /// An address of a network.
    pub fn of(network: &str, ip: IpAddr) -> Self {
        Self {
            network: network.to_owned(),
            address: match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            },
        }
    }
}
