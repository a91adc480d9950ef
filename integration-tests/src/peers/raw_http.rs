//! HTTP/1.1 by the byte, for what a well-behaved library would not send or not show.

use super::waiting::soon;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A byte stream with what was read and not yet used.
pub struct RawHttp<IO> {
    io: IO,
    buffer: Vec<u8>,
}

/// A head as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawHead {
    /// First line.
    pub line: String,
    /// Header lines in order: name in lower case, value trimmed.
    pub headers: Vec<(String, String)>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> RawHttp<IO> {
    /// Wraps a stream.
    pub fn new(io: IO) -> Self {
        Self { io, buffer: Vec::new() }
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// The other side has gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.io.write_all(bytes.as_ref()).await?;
        self.io.flush().await
    }

    /// Ends our side.
    ///
    /// # Errors
    /// The other side has gone.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.io.shutdown().await
    }

    /// Reads up to and including the empty line.
    ///
    /// # Errors
    /// End of input (`UnexpectedEof`, with what came) or a broken stream.
    pub async fn head(&mut self) -> io::Result<RawHead> {
        soon("a head", async {
            loop {
                if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                    let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                    self.buffer.drain(..end + 4);
                    return Ok(RawHead::parse(&text));
                }
                self.more().await?;
            }
        })
        .await
    }

    /// Reads exactly this many bytes.
    ///
    /// # Errors
    /// As [`RawHttp::head`].
    pub async fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        soon(&format!("{bytes} bytes"), async {
            while self.buffer.len() < bytes {
                self.more().await?;
            }
            Ok(self.buffer.drain(..bytes).collect())
        })
        .await
    }

    /// Reads the body that `head` announces (Content-Length or chunked), chunk framing and trailers removed.
    ///
    /// # Errors
    /// As [`RawHttp::head`].
    pub async fn body(&mut self, head: &RawHead) -> io::Result<Vec<u8>> {
        Ok(self.body_and_trailers(head).await?.0)
    }

    /// The same, and the trailer lines as they came.
    ///
    /// # Errors
    /// As [`RawHttp::head`].
    pub async fn body_and_trailers(&mut self, head: &RawHead) -> io::Result<(Vec<u8>, Vec<String>)> {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        if head.get("transfer-encoding").is_some_and(|v| v.ends_with("chunked")) {
            loop {
                let size = self.line().await?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap();
                if size == 0 {
                    break;
                }
                body.extend(self.exactly(size).await?);
                self.exactly(2).await?;
            }
            loop {
                match self.line().await? {
                    end if end.is_empty() => return Ok((body, trailers)),
                    line => trailers.push(line),
                }
            }
        }
        let length = head.get("content-length").map_or(0, |v| v.parse().unwrap());
        body.extend(self.exactly(length).await?);
        Ok((body, trailers))
    }

    /// The stream, for another protocol. What was read of it and not used is lost.
    pub fn into_io(self) -> IO {
        self.io
    }

    /// Reads one line without its end.
    ///
    /// # Errors
    /// As [`RawHttp::head`].
    pub async fn line(&mut self) -> io::Result<String> {
        soon("a line", async {
            loop {
                if let Some(end) = find(&self.buffer, b"\r\n") {
                    let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                    self.buffer.drain(..end + 2);
                    return Ok(line);
                }
                self.more().await?;
            }
        })
        .await
    }

    /// Reads until the other side ends; gives all that came.
    ///
    /// # Errors
    /// A broken stream.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        soon("the end of input", async {
            self.io.read_to_end(&mut self.buffer).await?;
            Ok(std::mem::take(&mut self.buffer))
        })
        .await
    }

    async fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let n = self.io.read(&mut chunk).await?;
        if n == 0 {
            let got = String::from_utf8_lossy(&self.buffer).into_owned();
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("end of input after {got:?}"),
            ));
        }
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(())
    }
}

impl RawHttp<TcpStream> {
    /// Breaks the connection with a TCP reset instead of an end.
    pub fn reset(self) {
        self.io.set_zero_linger().unwrap();
    }
}

impl RawHead {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|l| l.split_once(':'));
        let headers = headers
            .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        Self { line, headers }
    }

    /// The first header of this (lower case) name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// How often a header of this (lower case) name is there.
    pub fn count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(n, _)| n == name).count()
    }

    /// The status code of a response's first line (0 when it has none).
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
