//! `destination`: an echo that a load can be sent to, beside a real ztunnel or as its own.

use crate::cli::DestinationArgs;
use crate::fault::{During, Fault};
use crate::identity;
use crate::neighbour::{Application, Echo, Route, Tunnels, listen};
use crate::stop::stopped;
use hbone::Connect;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(args: &DestinationArgs) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .during("runtime")?;
    let certs = identity::load(&args.identity)?;
    let echo = Echo::new(usize::try_from(args.body_bytes).unwrap_or(usize::MAX));
    let mut serving = JoinSet::new();
    let mut ports = Ports::default();
    let _inside = runtime.enter();
    for (kind, address) in [(Kind::Http, args.http), (Kind::Tcp, args.tcp)] {
        let Some(address) = address else { continue };
        let listener = listen(address)?;
        let address = listener.local_addr().during(kind.name())?;
        println!("{} listening on {address}", kind.name());
        ports.0.push((address.port(), kind.application(&echo)));
        serving.spawn(in_clear(listener, kind.application(&echo)));
    }
    if let Some(address) = args.hbone {
        let certs = certs.during("--hbone needs --certs or --ca-address")?;
        let listener = listen(address)?;
        println!("hbone listening on {}", listener.local_addr().during("hbone")?);
        let route = Arc::new(ports);
        serving.spawn(Tunnels { listener, certs, route }.serve());
    }
    runtime.block_on(stopped());
    println!("answered {}", echo.answered());
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tcp,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }

    fn application(self, echo: &Echo) -> Application {
        match self {
            Self::Http => Application::Http(echo.clone()),
            Self::Tcp => Application::Bytes(echo.clone()),
        }
    }
}

async fn in_clear(listener: std::net::TcpListener, application: Application) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("destination: {error}"),
    };
    while let Ok((socket, _)) = listener.accept().await {
        // Without it answers are late, but they come.
        let _ = socket.set_nodelay(true);
        tokio::spawn(application.clone().serve(socket.into()));
    }
}

/// Tunnels of any client of the mesh, to the ports that are served.
#[derive(Default)]
struct Ports(Vec<(u16, Application)>);

impl Route for Ports {
    fn find(&self, connect: &Connect) -> Result<Application, String> {
        let authority = connect.authority.as_str();
        let port = authority.parse().map(|address: SocketAddr| address.port());
        let found = self.0.iter().find(|(served, _)| port == Ok(*served));
        let application = found.map(|(_, application)| application.clone());
        application.ok_or_else(|| format!("nothing is served at {authority}"))
    }
}
