//! Who this program is to a mesh that is not its own: certificates from files, or from the mesh's CA, and their
//! successors for as long as it runs.

use crate::cli::IdentityArgs;
use crate::fault::{During, Fault};
use crate::neighbour::Room;
use hbone::{CertError, CertSource, ControlPlaneConfig, FileCerts, Identity, Istiod, IstiodConfig};
use request::SpiffeId;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::watch;

/// A CA has answered by then, or the reason is in the log.
const CA: Duration = Duration::from_secs(30);

/// The certificates; None when the command line names none.
pub(crate) fn load(args: &IdentityArgs) -> Result<Option<Arc<dyn CertSource>>, Fault> {
    let followed = match (&args.certs, &args.ca_address) {
        (Some(folder), _) => of_folder(folder.clone())?,
        (None, Some(address)) => of_ca(args, address)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(Arc::new(followed)))
}

/// Certificates that are replaced when there are new ones, by a thread that lives as long as this.
struct Followed {
    current: Arc<dyn CertSource>,
    _room: Room<()>,
}

impl CertSource for Followed {
    fn current(&self) -> Arc<Identity> {
        self.current.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.current.changes()
    }
}

impl Followed {
    /// Waits for the first ones.
    fn start<C, F>(first: F, what: &str, watch: impl FnOnce(Arc<C>) -> Watching + Send + 'static) -> Result<Self, Fault>
    where
        C: CertSource,
        F: Future<Output = Result<Arc<C>, CertError>> + Send + 'static,
    {
        let (came, coming) = mpsc::channel();
        let room = Room::open("certificates", async move {
            match first.await {
                Ok(source) => {
                    // Nobody waits for it only when that took too long.
                    let _ = came.send(Ok(Arc::clone(&source)));
                    watch(source).await;
                }
                Err(error) => drop(came.send(Err(error))),
            }
        })?;
        let first = coming.recv_timeout(CA);
        let first = first.during(format_args!("no certificate by {what} within {CA:?}, the log says why"))?;
        Ok(Self {
            current: first.during(what)?,
            _room: room,
        })
    }
}

type Watching = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn of_folder(folder: PathBuf) -> Result<Followed, Fault> {
    let what = folder.display().to_string();
    let first = async move { FileCerts::load(&folder) };
    Followed::start(first, &what, |files| Box::pin(files.watch(said)))
}

fn of_ca(args: &IdentityArgs, address: &str) -> Result<Followed, Fault> {
    let missing = |what| format!("a certificate by {address} needs {what}");
    let namespace = args.namespace.as_deref();
    let namespace = namespace.during(missing("--namespace (POD_NAMESPACE)"))?;
    let account = args.service_account.as_deref();
    let account = account.during(missing("--service-account (SERVICE_ACCOUNT)"))?;
    let config = IstiodConfig {
        ca: ControlPlaneConfig {
            address: address.to_owned(),
            root: args.ca_root.clone(),
            token: args.ca_token.clone(),
            cluster: args.cluster.clone(),
        },
        id: SpiffeId::of(&args.trust_domain, namespace, account).during("our id")?,
    };
    Followed::start(Istiod::connect(config), address, |ca| Box::pin(ca.watch(said)))
}

fn said(identity: &Identity) {
    let left = identity.not_after.duration_since(std::time::SystemTime::now());
    let left = left.unwrap_or_default().as_secs();
    eprintln!(
        "certificates: new ones for {}, valid for {left} s",
        identity.id.as_str()
    );
}
