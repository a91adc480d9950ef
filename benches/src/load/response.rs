//! Reads answers as far as a load must: that each is a 200 with the body that was promised.

/// Heads longer than this are not what the destination sent.
const HEAD_LIMIT_BYTES: usize = 16 * 1024;

/// Reads one answer after another.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// The head as far as it came, when it came in pieces.
    head: Vec<u8>,
    /// Body bytes still to come; None while the head is.
    left: Option<usize>,
}

impl Response {
    /// Takes what came. True when the answer is complete; nothing may come after it before the next request.
    pub(crate) fn take(&mut self, chunk: &[u8], body_bytes: usize) -> Result<bool, String> {
        let left = match self.left {
            Some(left) => left.checked_sub(chunk.len()),
            None => {
                let Some((length, body)) = self.take_head(chunk)? else {
                    return Ok(false);
                };
                if length != body_bytes {
                    return Err(format!("content-length {length}, expected {body_bytes}"));
                }
                length.checked_sub(body)
            }
        };
        let left = left.ok_or("more body than its length")?;
        self.left = (left > 0).then_some(left);
        Ok(left == 0)
    }

    /// The body's length by the head, and how much of the body has come; None while the head has not.
    fn take_head(&mut self, chunk: &[u8]) -> Result<Option<(usize, usize)>, String> {
        if self.head.is_empty()
            && let Some((head, body)) = split_head(chunk)
        {
            return Ok(Some((length(head)?, body.len())));
        }
        self.head.extend_from_slice(chunk);
        let Some((head, body)) = split_head(&self.head) else {
            return if self.head.len() < HEAD_LIMIT_BYTES {
                Ok(None)
            } else {
                Err("no end of the head".to_owned())
            };
        };
        let out = (length(head)?, body.len());
        self.head.clear();
        Ok(Some(out))
    }
}

fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((bytes.get(..end)?, bytes.get(end.saturating_add(4)..)?))
}

fn length(head: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(format!("expected 200, found {status:?}"));
    }
    let mut lengths = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    lengths.next().ok_or_else(|| format!("no content-length in {text:?}"))
}

#[cfg(test)]
mod tests;
