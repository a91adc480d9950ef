//! A lane: one request at a time on some application connection.

mod http1;
mod http2;
mod tcp;

use super::Plan;
use super::ask::{Ask, Good, Protocol};
use crate::fault::Fault;
use crate::neighbour::Source;
use crate::wire::Wire;
use http1::Http1;
use http2::Http2;
use std::borrow::Cow;
use std::sync::Arc;
use tcp::Tcp;

/// The lane, with what it needs to open its connection again.
pub(super) struct Lane {
    source: Source,
    plan: Arc<Plan>,
    way: Way,
}

enum Way {
    Http1(Http1),
    Http2(Http2),
    Tcp(Tcp),
    /// A new connection for every request: what a restarted client, or a flood of short-lived ones, costs.
    Fresh,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status; 0 of bytes that were echoed.
    pub(super) status: u16,
    /// gRPC status.
    pub(super) grpc: Option<u16>,
    pub(super) is_good: bool,
    /// Of another length than was expected.
    pub(super) length: Option<u64>,
}

impl Lane {
    /// All lanes of a plan, each with its connection open.
    pub(super) async fn open_all(source: &Source, plan: &Arc<Plan>) -> Result<Vec<Self>, Fault> {
        let mut lanes = Vec::new();
        let mut push = |way| {
            lanes.push(Self {
                source: source.clone(),
                plan: Arc::clone(plan),
                way,
            });
        };
        if plan.is_fresh {
            (0..plan.streams).for_each(|_| push(Way::Fresh));
            return Ok(lanes);
        }
        for wire in source.dial(plan.connections, plan.streams).await? {
            let first = Way::open(wire, &plan.ask).await.map_err(Fault::new)?;
            if let Way::Http2(first) = &first {
                (1..plan.in_flight).for_each(|_| push(Way::Http2(first.clone())));
            }
            push(first);
        }
        Ok(lanes)
    }

    /// The one lane of a connection that is there.
    pub(super) async fn on(source: &Source, plan: &Arc<Plan>, wire: Wire) -> Result<Self, String> {
        Ok(Self {
            way: Way::open(wire, &plan.ask).await?,
            source: source.clone(),
            plan: Arc::clone(plan),
        })
    }

    /// One request and its whole answer. An error is the end of the connection.
    pub(super) async fn exchange(&mut self) -> Result<Answer, String> {
        match &mut self.way {
            Way::Http1(lane) => lane.exchange().await,
            Way::Http2(lane) => lane.exchange().await,
            Way::Tcp(lane) => lane.exchange().await,
            Way::Fresh => {
                let wire = dial(&self.source).await?;
                let mut once = Self::on(&self.source, &self.plan, wire).await?;
                Box::pin(once.exchange()).await
            }
        }
    }

    /// A new connection, in a tunnel of its own. Lanes that shared one share the next one.
    pub(super) async fn reopen(&mut self) -> Result<(), String> {
        match &mut self.way {
            Way::Fresh => Ok(()),
            Way::Http2(lane) => lane.reopen(dial(&self.source)).await,
            Way::Http1(_) | Way::Tcp(_) => {
                self.way = Way::open(dial(&self.source).await?, &self.plan.ask).await?;
                Ok(())
            }
        }
    }
}

async fn dial(source: &Source) -> Result<Wire, String> {
    source.connection().open().await.map_err(|fault| fault.to_string())
}

impl Way {
    async fn open(wire: Wire, ask: &Ask) -> Result<Self, String> {
        Ok(match ask.protocol {
            Protocol::Http1 => Self::Http1(Http1::new(wire, ask)),
            Protocol::Tcp => Self::Tcp(Tcp::new(wire, ask)),
            Protocol::Http2 | Protocol::Grpc => Self::Http2(Http2::new(wire, ask).await?),
        })
    }
}

impl Answer {
    /// An HTTP answer with so long a body.
    fn http(status: u16, grpc: Option<u16>, length: u64, good: Good) -> Self {
        let is_expected = good
            .status
            .map_or((200..400).contains(&status), |expected| expected.as_u16() == status);
        let is_status_good = is_expected && grpc.unwrap_or_default() == 0;
        let is_length_good = good.bytes.is_none_or(|expected| expected == length);
        Self {
            status,
            grpc,
            is_good: is_status_good && is_length_good,
            length: (is_status_good && !is_length_good).then_some(length),
        }
    }

    /// How it is counted.
    pub(super) fn label(&self) -> Cow<'static, str> {
        match (self.status, self.grpc, self.length) {
            (0, ..) => "echoed".into(),
            (status, _, Some(length)) => format!("{status} with {length} bytes").into(),
            (200, None | Some(0), None) => "200".into(),
            (status, None | Some(0), None) => status.to_string().into(),
            (_, Some(grpc), None) => format!("grpc-status {grpc}").into(),
        }
    }
}

#[cfg(test)]
mod tests;
