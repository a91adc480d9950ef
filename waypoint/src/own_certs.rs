//! Where our identity comes from: files, a SPIFFE agent, or a CA such as istiod.

use crate::cli::RunArgs;
use hbone::{CertError, CertSource, ControlPlaneConfig, FileCerts, Identity, Istiod, IstiodConfig, WorkloadApi};
use request::SpiffeId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where the certificates are when nothing says so: Istio's folder.
const FOLDER: &str = "/var/run/secrets/workload-spiffe-credentials";
/// What is in it when its files are to be used.
const CHAIN: &str = "cert-chain.pem";
/// Where Istio expects an agent's socket; `WORKLOAD_IDENTITY_SOCKET_FILE` is its name there.
const SOCKETS: &str = "/var/run/secrets/workload-spiffe-uds";
/// A start waits for an agent this long; then it is an error.
const FIRST: Duration = Duration::from_secs(60);

/// The source, and what keeps it fresh.
#[derive(Clone, Debug)]
pub(crate) enum OwnCerts {
    Files(Arc<FileCerts>),
    Agent(Arc<WorkloadApi>),
    Ca(Arc<Istiod>),
}

/// Where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// A folder.
    Folder(PathBuf),
    /// The address of a SPIFFE agent.
    Agent(String),
    /// The address of a CA.
    Ca(String),
}

impl OwnCerts {
    /// Loads what the command line asks for. A CA is waited for without end: its first certificate may need a token or a
    /// root that comes later, and the log says what is missing.
    pub(crate) fn load(args: &RunArgs, trust_domain: &str) -> Result<Self, CertError> {
        match origin(args, |folder| folder.join(CHAIN).exists()) {
            Origin::Folder(folder) => {
                tracing::info!(folder = %folder.display(), "our certificates come from files");
                FileCerts::load(&folder).map(Self::Files)
            }
            Origin::Agent(address) => {
                tracing::info!(address, "our certificates come from a SPIFFE agent");
                wait(WorkloadApi::connect(&address, FIRST)).map(Self::Agent)
            }
            Origin::Ca(address) => {
                let config = ca(args, address, trust_domain)?;
                let id = config.id.as_str();
                tracing::info!(address = config.ca.address, id, "our certificates come from a CA");
                wait(Istiod::connect(config)).map(Self::Ca)
            }
        }
    }

    pub(crate) fn source(&self) -> Arc<dyn CertSource> {
        match self {
            Self::Files(files) => Arc::clone(files) as _,
            Self::Agent(agent) => Arc::clone(agent) as _,
            Self::Ca(ca) => Arc::clone(ca) as _,
        }
    }

    /// Follows the source for as long as it is polled.
    pub(crate) async fn watch(&self, taken: impl FnMut(&Identity) + Send) {
        match self {
            Self::Files(files) => Arc::clone(files).watch(taken).await,
            Self::Agent(agent) => Arc::clone(agent).watch(taken).await,
            Self::Ca(ca) => Arc::clone(ca).watch(taken).await,
        }
    }
}

/// The process's runtimes come later: the first answer has one of its own.
fn wait<T>(first: impl Future<Output = Result<T, CertError>>) -> Result<T, CertError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CertError {
        file: "runtime".to_owned(),
        reason: error.to_string(),
    })?;
    runtime.block_on(first)
}

/// Flags go first, of which there is one at most. Then the variables of others, and Istio's folder in Istio's order: a pod
/// has `CA_ADDR` whatever else it has.
fn origin(args: &RunArgs, has_files: impl Fn(&Path) -> bool) -> Origin {
    let flags = [
        args.certs.clone().map(Origin::Folder),
        args.workload_api.clone().map(Origin::Agent),
        args.ca_address.clone().map(Origin::Ca),
    ];
    let named = |name: &PathBuf| Path::new(SOCKETS).join(name).to_string_lossy().into_owned();
    let agent = || args.spiffe_socket.clone().or(args.istio_socket.as_ref().map(named));
    let istio_ca = || args.istio_ca.clone().filter(|address| !address.trim().is_empty());
    let folder = Path::new(FOLDER);
    flags
        .into_iter()
        .flatten()
        .next()
        .or_else(|| agent().map(Origin::Agent))
        .or_else(|| has_files(folder).then(|| Origin::Folder(folder.to_owned())))
        .or_else(|| istio_ca().map(Origin::Ca))
        .unwrap_or_else(|| Origin::Folder(folder.to_owned()))
}

fn ca(args: &RunArgs, address: String, trust_domain: &str) -> Result<IstiodConfig, CertError> {
    let fault = |reason: String| CertError {
        file: address.clone(),
        reason,
    };
    let missing = |what: &str| fault(format!("to ask this CA for a certificate, {what} is needed"));
    let namespace = args.namespace.as_deref();
    let namespace = namespace.ok_or_else(|| missing("--namespace (POD_NAMESPACE)"))?;
    let account = args.service_account.as_deref().or(args.gateway.as_deref());
    let account = account.ok_or_else(|| missing("--service-account (SERVICE_ACCOUNT) or --gateway"))?;
    let id = SpiffeId::of(trust_domain, namespace, account).map_err(|error| fault(error.to_string()))?;
    let ca = ControlPlaneConfig {
        root: args.ca_root.clone(),
        token: args.ca_token.clone(),
        cluster: args.cluster.clone(),
        address,
    };
    Ok(IstiodConfig { ca, id })
}

#[cfg(test)]
mod tests;
