//! Connections and streams that are kept open.

use crate::fault::{During, Fault};
use crate::load::{Ask, Kept};
use crate::neighbour::{Connection, Source};
use tokio::runtime::Runtime;

/// All that is held. It closes when this is dropped.
pub(super) struct Held {
    source: Source,
    connections: Vec<Connection>,
    kept: Kept,
    /// The first stream, and a connection for it: they are not counted.
    first: Option<(Connection, Kept)>,
    /// Its own thread answers PINGs while nobody asks for anything.
    runtime: Runtime,
}

impl Held {
    /// Nothing yet.
    pub(super) fn new(source: Source, ask: Ask) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .during("runtime")?;
        Ok(Self {
            kept: Kept::new(&source, ask),
            source,
            connections: Vec::new(),
            first: None,
            runtime,
        })
    }

    /// One connection with one stream, so that what is made for the first is there.
    pub(super) fn begin(&mut self) -> Result<(), Fault> {
        let mut kept = self.kept.empty();
        let connection = self.runtime.block_on(async {
            let connection = self.source.connect().await?;
            kept.add(connection.open().await?).await?;
            Ok::<_, Fault>(connection)
        });
        self.first = Some((connection.map_err(with_advice)?, kept));
        Ok(())
    }

    /// One more connection, without a stream.
    pub(super) fn connect(&mut self) -> Result<(), Fault> {
        let connection = self.runtime.block_on(self.source.connect());
        self.connections.push(connection.map_err(with_advice)?);
        Ok(())
    }

    /// One more stream that has carried a request, on the connections in turn.
    pub(super) fn stream(&mut self) -> Result<(), Fault> {
        let place = self.kept.len() % self.connections.len().max(1);
        let turn = self.connections.get(place);
        let (source, kept) = (&self.source, &mut self.kept);
        let added = self.runtime.block_on(async {
            let wire = match turn {
                Some(connection) => connection.open().await?,
                None => source.connect().await?.open().await?,
            };
            kept.add(wire).await
        });
        added.map_err(with_advice)
    }

    /// Connections that were opened.
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Those that the other side has not closed.
    pub(super) fn open_connections(&self) -> usize {
        let open = self.connections.iter().filter(|connection| connection.is_open());
        open.count()
    }

    /// Streams that were opened.
    pub(super) fn streams(&self) -> usize {
        self.kept.len()
    }

    /// Asks on every stream once more, and tells what did not hold.
    pub(super) fn end(&mut self) -> Vec<String> {
        let lost = self.connections().saturating_sub(self.open_connections());
        self.runtime.block_on(self.kept.ask_again());
        let mut failures = self.kept.failures();
        if lost > 0 {
            failures.push(format!("connections that the other side closed ({lost})"));
        }
        failures
    }
}

/// EMFILE, as the system says it.
const TOO_MANY_FILES: &str = "(os error 24)";

fn with_advice(fault: Fault) -> Fault {
    let text = fault.to_string();
    if text.contains(TOO_MANY_FILES) {
        return Fault::new(format!(
            "{text}: each connection is an open file here, raise `ulimit -n`"
        ));
    }
    fault
}
