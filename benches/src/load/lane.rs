//! A lane: one request at a time on some application connection.

mod fresh;
mod http1;
mod http2;
mod tcp;

use super::Plan;
use super::ask::Protocol;
use crate::fault::Fault;
use crate::neighbour::Source;
use fresh::Fresh;
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
    Fresh(Box<Fresh>),
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
            (0..plan.streams).for_each(|_| push(Way::Fresh(Box::new(Fresh::new(source, &plan.ask)))));
            return Ok(lanes);
        }
        for wire in source.dial(plan.connections, plan.streams).await? {
            match plan.ask.protocol {
                Protocol::Http1 => push(Way::Http1(Http1::new(wire, &plan.ask))),
                Protocol::Tcp => push(Way::Tcp(Tcp::new(wire, &plan.ask))),
                Protocol::Http2 | Protocol::Grpc => {
                    let first = Http2::new(wire, &plan.ask).await.map_err(Fault::new)?;
                    for _ in 1..plan.in_flight {
                        push(Way::Http2(first.clone()));
                    }
                    push(Way::Http2(first));
                }
            }
        }
        Ok(lanes)
    }

    /// One request and its whole answer. An error is the end of the connection.
    pub(super) async fn exchange(&mut self) -> Result<Answer, String> {
        match &mut self.way {
            Way::Http1(lane) => lane.exchange().await,
            Way::Http2(lane) => lane.exchange().await,
            Way::Tcp(lane) => lane.exchange().await,
            Way::Fresh(lane) => lane.exchange().await,
        }
    }

    /// A new connection, in a tunnel of its own.
    pub(super) async fn reopen(&mut self) -> Result<(), String> {
        if let Way::Fresh(_) = &self.way {
            return Ok(());
        }
        let wires = self.source.dial(1, 1).await.map_err(|fault| fault.to_string())?;
        let wire = wires.into_iter().next().ok_or("no tunnel")?;
        self.way = match self.plan.ask.protocol {
            Protocol::Http1 => Way::Http1(Http1::new(wire, &self.plan.ask)),
            Protocol::Tcp => Way::Tcp(Tcp::new(wire, &self.plan.ask)),
            Protocol::Http2 | Protocol::Grpc => Way::Http2(Http2::new(wire, &self.plan.ask).await?),
        };
        Ok(())
    }
}

impl Answer {
    /// An HTTP answer with so long a body where this much was expected.
    fn http(status: u16, grpc: Option<u16>, length: u64, expected: Option<u64>) -> Self {
        let is_status_good = (200..400).contains(&status) && grpc.unwrap_or_default() == 0;
        let is_length_good = expected.is_none_or(|expected| expected == length);
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
