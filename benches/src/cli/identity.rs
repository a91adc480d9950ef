//! Who this program is in a mesh that is not its own.

use clap::Args;
use std::path::PathBuf;

/// Who this program is in the mesh.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Who we are")]
pub(crate) struct IdentityArgs {
    /// The folder with root-cert.pem, cert-chain.pem and key.pem of our workload.
    #[arg(long, value_name = "DIR", conflicts_with = "ca_address")]
    pub(crate) certs: Option<PathBuf>,
    /// A CA that speaks Istio's protocol, such as istiod.istio-system.svc:15012, asked with the pod's token.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) ca_address: Option<String>,
    /// Authorities for the server certificate of that CA, PEM.
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/istio/root-cert.pem")]
    pub(crate) ca_root: PathBuf,
    /// The token that proves to that CA who we are.
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/tokens/istio-token")]
    pub(crate) ca_token: PathBuf,
    /// Our trust domain.
    #[arg(long, value_name = "TD", env = "TRUST_DOMAIN", default_value = "cluster.local")]
    pub(crate) trust_domain: String,
    /// Our namespace.
    #[arg(long, value_name = "NS", env = "POD_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Our service account.
    #[arg(long, value_name = "NAME", env = "SERVICE_ACCOUNT")]
    pub(crate) service_account: Option<String>,
    /// The cluster that the token is of.
    #[arg(long, env = "ISTIO_META_CLUSTER_ID", hide = true, default_value = "Kubernetes")]
    pub(crate) cluster: String,
}
