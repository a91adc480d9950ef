//! One keep-alive connection.

use super::Answer;
use crate::http1::Messages;
use crate::load::ask::{Ask, Good};
use crate::wire::Wire;
use bytes::Bytes;

/// The connection.
pub(super) struct Http1 {
    wire: Wire,
    request: Bytes,
    messages: Messages,
    good: Good,
    is_over: bool,
}

impl Http1 {
    pub(super) fn new(wire: Wire, ask: &Ask) -> Self {
        Self {
            wire,
            request: ask.http1(),
            messages: Messages::responses(ask.method.as_str()),
            good: ask.good,
            is_over: false,
        }
    }

    pub(super) async fn exchange(&mut self) -> Result<Answer, String> {
        if self.is_over {
            return Err("the server closed the connection".to_owned());
        }
        self.wire
            .send(self.request.clone())
            .await
            .map_err(|error| error.to_string())?;
        loop {
            let received = self.wire.receive().await.map_err(|error| error.to_string())?;
            let message = match received {
                Some(mut chunk) => {
                    let message = self.messages.take(&mut chunk)?;
                    if !chunk.is_empty() {
                        return Err("more than one answer".to_owned());
                    }
                    message
                }
                None => {
                    self.is_over = true;
                    Some(self.messages.end()?.ok_or("the connection ended before an answer")?)
                }
            };
            if let Some(message) = message {
                self.is_over |= message.is_last;
                return Ok(Answer::http(message.status, None, message.body_bytes, self.good));
            }
        }
    }
}
