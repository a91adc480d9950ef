//! Asks external authorisers about a request that was admitted: those of CUSTOM policies, and that of a filter.

use super::client::{Client, ClientFault};
use super::early::EarlyFault;
use super::exchange::{Admitted, client_fault, view};
use super::ext_authz::{self, Changes, Question, Refused, Told};
use super::headers;
use super::reason::{Denied, Reason, policy_name};
use super::tunnel::Tunnel;
use crate::http1::Framing;
use authz::Ask;
use mesh::{ServicePort, Snapshot};
use request::Connection;
use routing::{ExternalAuth, Filters};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Asks the providers of all CUSTOM policies that match. What a provider changes is seen by everything after it.
pub(crate) async fn providers(
    tunnel: &Tunnel,
    snapshot: &Snapshot,
    port: &ServicePort,
    client: &mut Client<'_>,
    admitted: &mut Admitted,
) -> Result<(), Reason> {
    let asks: Vec<(Option<&Arc<ExternalAuth>>, String)> = {
        let request = view(&tunnel.connection, admitted);
        let asks = port.policies.asks(&request);
        asks.map(|ask| (provider(snapshot, &ask), policy_name(ask.by)))
            .collect()
    };
    for (auth, policy) in asks {
        // Nobody can be asked: Istio puts a DENY in the policy's place.
        let Some(auth) = auth else {
            return Err(Reason::Policy(Some(policy)));
        };
        one(tunnel, snapshot, client, admitted, auth, Some(policy)).await?;
    }
    Ok(())
}

/// Asks the authoriser of an ExternalAuth filter, if there is one. (A preflight, which carries nobody's credentials, was
/// answered before by the CORS filter beside it.)
pub(crate) async fn filter(
    tunnel: &Tunnel,
    snapshot: &Snapshot,
    filters: &Filters,
    client: &mut Client<'_>,
    admitted: &mut Admitted,
) -> Result<(), Reason> {
    let Some(auth) = &filters.external_auth else {
        return Ok(());
    };
    one(tunnel, snapshot, client, admitted, auth, None).await
}

/// Asks the gRPC providers of all CUSTOM policies that match a TCP connection; those over HTTP know nothing of TCP
/// (Istio ignores them there).
pub(crate) async fn connection(
    tunnel: &Tunnel,
    snapshot: &Snapshot,
    port: &ServicePort,
    connection: &Connection,
) -> Result<(), Reason> {
    for ask in port.policies.asks_tcp(connection) {
        let auth = provider(snapshot, &ask).ok_or_else(|| Reason::denied(Some(ask.by)))?;
        let question = Question {
            connection,
            peer: tunnel.peer,
            own: tunnel.node.own.id(),
            told: None,
        };
        let asked = ext_authz::ask(&tunnel.node, snapshot, auth, &question).await;
        asked.map_err(|refused| refusal(refused, Some(policy_name(ask.by))))?;
    }
    Ok(())
}

/// Asks the providers of all CUSTOM policies that match a request whose stream is still open. What they change is of no
/// use any more.
pub(crate) async fn again(
    tunnel: &Tunnel,
    snapshot: &Snapshot,
    port: &ServicePort,
    admitted: &Admitted,
) -> Result<(), Reason> {
    let request = view(&tunnel.connection, admitted);
    for ask in port.policies.asks(&request) {
        let auth = provider(snapshot, &ask).ok_or_else(|| Reason::denied(Some(ask.by)))?;
        let question = Question {
            connection: &tunnel.connection,
            peer: tunnel.peer,
            own: tunnel.node.own.id(),
            told: Some(told(admitted)),
        };
        let asked = ext_authz::ask(&tunnel.node, snapshot, auth, &question).await;
        asked.map_err(|refused| refusal(refused, Some(policy_name(ask.by))))?;
    }
    Ok(())
}

fn provider<'s>(snapshot: &'s Snapshot, ask: &Ask<'_>) -> Option<&'s Arc<ExternalAuth>> {
    snapshot.settings.auth_providers.get(ask.provider?)
}

async fn one(
    tunnel: &Tunnel,
    snapshot: &Snapshot,
    client: &mut Client<'_>,
    admitted: &mut Admitted,
    auth: &ExternalAuth,
    policy: Option<String>,
) -> Result<(), Reason> {
    headers::name_request(&mut admitted.headers);
    // What follows a wish for another protocol over HTTP/2 is no body.
    if let Some(body) = auth.check.body.filter(|_| !client.is_extended_connect()) {
        let load = &tunnel.node.early;
        let filled = admitted.early.fill(client, body.max_bytes, body.partial, load).await;
        filled.map_err(early_fault)?;
    }
    let question = Question {
        connection: &tunnel.connection,
        peer: tunnel.peer,
        own: tunnel.node.own.id(),
        told: Some(told(admitted)),
    };
    let asking = ext_authz::ask(&tunnel.node, snapshot, auth, &question);
    match while_client_waits(client, asking).await? {
        Ok(Changes { request, response }) => {
            ext_authz::apply(&request, &mut admitted.headers);
            admitted.to_client.extend(response);
            Ok(())
        }
        Err(refused) => Err(refusal(refused, policy)),
    }
}

fn refusal(refused: Refused, policy: Option<String>) -> Reason {
    match refused {
        Refused::Denied(denial) => Reason::Denied(Box::new(Denied { denial, policy })),
        Refused::Failed(status) => Reason::AuthFailed(status, policy),
    }
}

fn told(admitted: &Admitted) -> Told<'_> {
    let held = admitted.early.data().len();
    Told {
        method: &admitted.method,
        head: &admitted.head,
        headers: &admitted.headers,
        http2: admitted.http2,
        size: match admitted.framing {
            Framing::Length(length) => Some(length),
            Framing::None => Some(0),
            Framing::Chunked | Framing::UntilClose => admitted.early.is_whole().then_some(held as u64),
        },
        early: &admitted.early,
    }
}

/// Nobody is asked for a client that has gone.
async fn while_client_waits<T>(client: &mut Client<'_>, asking: impl Future<Output = T>) -> Result<T, Reason> {
    let mut asking = pin!(asking);
    poll_fn(|cx| {
        if let Poll::Ready(answer) = asking.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        client.poll_gone(cx).map(|()| Err(Reason::ClientGone))
    })
    .await
}

fn early_fault(fault: EarlyFault) -> Reason {
    match fault {
        EarlyFault::Client(ClientFault::Gone) => Reason::ClientGone,
        EarlyFault::Client(fault) => client_fault(fault),
        EarlyFault::Slow => Reason::SlowClient,
        EarlyFault::TooLong => Reason::BodyTooLarge,
        EarlyFault::Full => Reason::Overloaded,
    }
}
