//! Faults on purpose: a request is held up, then perhaps ended, before anything of it goes upstream.

use super::client::Client;
use super::reason::Reason;
use super::record::Record;
use rand::Rng;
use routing::{Abort, Fault};
use std::future::poll_fn;
use std::time::Duration;

/// Does what the rule's `fault` asks for this request. The delay is no part of the rule's deadlines.
pub(crate) async fn inject(fault: &Fault, client: &mut Client<'_>, record: &mut Record) -> Result<(), Reason> {
    let (for_delay, for_abort) = rand::rng().random();
    if let Some(delay) = fault.delay(for_delay) {
        record.delayed = true;
        record.event("fault", || ("fault.delay", format!("{delay:?}")));
        hold(delay, client).await?;
    }
    let abort = fault.abort(for_abort);
    if let Some(abort) = &abort {
        record.event("fault", || ("fault.abort", format!("{abort:?}")));
    }
    abort.map_or(Ok(()), |abort| Err(reason(abort)))
}

/// The refusal that an abort is.
pub(crate) fn reason(abort: Abort) -> Reason {
    match abort {
        Abort::Http(status) => Reason::Fault { status, grpc: None },
        Abort::Grpc(grpc) => Reason::Fault {
            status: 200,
            grpc: Some(grpc),
        },
    }
}

/// Waits, unless the client goes. (One that has not yet sent its HTTP/1 body is missed when the wait is over.)
async fn hold(delay: Duration, client: &mut Client<'_>) -> Result<(), Reason> {
    tokio::select! {
        () = tokio::time::sleep(delay) => Ok(()),
        () = poll_fn(|cx| client.poll_gone(cx)) => Err(Reason::ClientGone),
    }
}
