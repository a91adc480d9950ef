//! Who this program is to a mesh that is not its own: certificates from files, or from the mesh's CA.

use crate::cli::IdentityArgs;
use crate::fault::{During, Fault};
use hbone::{CertSource, ControlPlaneConfig, FileCerts, Istiod, IstiodConfig};
use request::SpiffeId;
use std::sync::Arc;
use std::time::Duration;

/// A CA has answered by then, or the reason is in its log.
const CA: Duration = Duration::from_secs(30);

/// The certificates; None when the command line names none. They are not renewed: a load ends before they do.
pub(crate) fn load(args: &IdentityArgs) -> Result<Option<Arc<dyn CertSource>>, Fault> {
    if let Some(folder) = &args.certs {
        let loaded = FileCerts::load(folder).during(folder.display())?;
        return Ok(Some(loaded));
    }
    let Some(address) = &args.ca_address else {
        return Ok(None);
    };
    let missing = |what| format!("a certificate by {address} needs {what}");
    let namespace = args.namespace.as_deref();
    let namespace = namespace.during(missing("--namespace (POD_NAMESPACE)"))?;
    let account = args.service_account.as_deref();
    let account = account.during(missing("--service-account (SERVICE_ACCOUNT)"))?;
    let config = IstiodConfig {
        ca: ControlPlaneConfig {
            address: address.clone(),
            root: args.ca_root.clone(),
            token: args.ca_token.clone(),
            cluster: args.cluster.clone(),
        },
        id: SpiffeId::of(&args.trust_domain, namespace, account).during("our id")?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("runtime")?;
    let asked = runtime.block_on(async { tokio::time::timeout(CA, Istiod::connect(config)).await });
    let certs = asked.during(format_args!("no certificate by {address}"))?;
    Ok(Some(certs.during(address)?))
}
