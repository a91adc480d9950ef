//! The floor under every waypoint: tunnels in, tunnels out, and nothing read of what is inside. One thread.

use crate::cli::SpliceArgs;
use crate::fault::{During, Fault};
use crate::neighbour::NoEvents;
use hbone::{Connect, Destination, Drain, FileCerts, Pool, PoolConfig, Server, ServerConfig};
use http::HeaderMap;
use request::SpiffeId;
use std::io::Read;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves until standard input ends: when the program that started it dies, so does this.
pub(crate) fn run(args: &SpliceArgs) -> Result<(), Fault> {
    std::thread::spawn(|| {
        // Whatever it reads or fails with, nothing more will come.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("runtime")?;
    runtime.block_on(serve(args))
}

async fn serve(args: &SpliceArgs) -> Result<(), Fault> {
    let certs = FileCerts::load(&args.certs).during("certificates")?;
    let identity = SpiffeId::parse(&args.identity)
        .map_err(|error| format!("{error:?}"))
        .during("--identity")?;
    let pool = Pool::new(PoolConfig::default(), Arc::clone(&certs) as _, Arc::new(NoEvents));
    let server = Server::new(ServerConfig::default(), certs, Arc::new(|_| true), Arc::new(NoEvents));
    let way = Arc::new(Way {
        pool,
        destination: Destination {
            address: args.destination,
            identity,
        },
        target: args.target.to_string(),
    });
    let listener = TcpListener::bind(args.listen)
        .await
        .during(format_args!("listen on {}", args.listen))?;
    loop {
        let (socket, peer) = listener.accept().await.during("accept")?;
        socket.set_nodelay(true).during("TCP_NODELAY")?;
        let (server, way) = (Arc::clone(&server), Arc::clone(&way));
        tokio::spawn(async move {
            let on_connect = |connect| {
                tokio::spawn(join(Arc::clone(&way), connect));
            };
            if let Err(error) = server.serve(socket, peer, Drain::new(), on_connect).await {
                eprintln!("splice-proxy: {peer}: {error}");
            }
        });
    }
}

/// Where every tunnel goes.
struct Way {
    pool: Arc<Pool>,
    destination: Destination,
    target: String,
}

async fn join(way: Arc<Way>, connect: Connect) {
    let Ok(inner) = connect.accept() else { return };
    match way.pool.dial(&way.destination, &way.target, HeaderMap::new()).await {
        // An end of either side is how a tunnel ends.
        Ok(outer) => drop(hbone::splice(inner, outer).await),
        Err(error) => eprintln!("splice-proxy: {error}"),
    }
}
