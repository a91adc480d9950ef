//! One peer per file; each opens with why it exists.

pub mod authoriser;
pub mod bare_client;
pub mod client_tunnel;
pub mod destination_tunnel;
pub mod dns_server;
pub mod echo;
pub mod envoy;
pub mod grpc_client;
pub mod http_client;
pub mod load;
pub mod loopback;
pub mod mesh_world;
pub mod otlp;
pub mod pki;
pub mod prometheus_text;
pub mod python_tools;
pub mod raw_http;
pub mod raw_http2;
pub mod rotel;
pub mod scripted;
pub mod tcp_backend;
pub mod tls_backend;
pub mod tls_server;
pub mod tokens;
pub mod waiting;
pub mod waypoint_process;
