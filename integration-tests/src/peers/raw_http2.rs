//! HTTP/2 by the frame, for what a well-behaved library would not send.

use super::waiting::soon;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Frame types (RFC 9113 section 6).
pub mod kind {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
}

/// END_STREAM of DATA and HEADERS; ACK of SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// END_HEADERS of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;
/// What begins every connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One connection. It grants the other side all the window it can.
pub struct RawHttp2<IO> {
    io: IO,
}

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream, 0 for the connection.
    pub stream: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

/// How a stream was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A head with this status; 0: one that is not in HPACK's static table.
    Answer(u16),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with this code.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> RawHttp2<IO> {
    /// Sends the preface and these SETTINGS (empty: the defaults).
    pub async fn open(io: IO, settings: &[u8]) -> io::Result<Self> {
        let mut this = Self { io };
        this.bytes(PREFACE).await?;
        this.frame(kind::SETTINGS, 0, 0, settings).await?;
        Ok(this)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The other side has gone.
    pub async fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The other side has gone.
    pub async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.bytes(&frame(kind, flags, stream, payload)).await
    }

    /// Sends a whole head.
    ///
    /// # Errors
    /// The other side has gone.
    pub async fn head(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) -> io::Result<()> {
        self.frame(kind::HEADERS, flags | END_HEADERS, stream, &hpack(fields))
            .await
    }

    /// The next frame; SETTINGS and PING are acknowledged on the way.
    ///
    /// # Errors
    /// End of input or a broken stream.
    pub async fn next(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        soon("a frame", self.io.read_exact(&mut head)).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let mut payload = vec![0; length];
        soon("a frame's payload", self.io.read_exact(&mut payload)).await?;
        let (kind, flags) = (head[3], head[4]);
        if kind == kind::SETTINGS && flags & 1 == 0 {
            let _ = self.frame(kind::SETTINGS, 1, 0, &[]).await;
        }
        if kind == kind::PING && flags & 1 == 0 {
            let _ = self.frame(kind::PING, 1, 0, &payload).await;
        }
        Ok(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// Reads until this stream is answered or reset, or the connection ends.
    pub async fn end_of(&mut self, stream: u32) -> End {
        loop {
            match self.next().await {
                Err(_) => return End::Closed,
                Ok(frame) if frame.kind == kind::GOAWAY => return End::GoAway(code(&frame.payload[4..])),
                Ok(frame) if frame.stream != stream => {}
                Ok(frame) if frame.kind == kind::RST_STREAM => return End::Reset(code(&frame.payload)),
                Ok(frame) if frame.kind == kind::HEADERS => return End::Answer(status(&frame.payload)),
                Ok(_) => {}
            }
        }
    }

    /// Reads the DATA of a stream whose head has come, to its end.
    pub async fn body_of(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let frame = self.next().await.unwrap();
            if frame.stream == stream {
                assert_ne!(frame.kind, kind::RST_STREAM, "the stream broke off");
                if frame.kind == kind::DATA {
                    body.extend(&frame.payload);
                }
                if frame.flags & END_STREAM != 0 {
                    return body;
                }
            }
        }
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as HPACK literals, never indexed, never compressed: any bytes can be sent.
pub fn hpack(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// RFC 7541 section 5.1, with a prefix of seven bits.
fn length(block: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push((length % 128) as u8 | 128);
        length /= 128;
    }
    block.push(length as u8);
}

/// `:status` comes first; these are in the static table.
fn status(block: &[u8]) -> u16 {
    match block.first() {
        Some(0x88) => 200,
        Some(0x89) => 204,
        Some(0x8c) => 400,
        Some(0x8d) => 404,
        _ => 0,
    }
}

fn code(payload: &[u8]) -> u32 {
    payload[..4]
        .try_into()
        .map(u32::from_be_bytes)
        .expect("four bytes of a code")
}
