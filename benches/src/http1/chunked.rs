//! A body in chunks: where it ends, and how long it is.

use bytes::{Buf, Bytes};

/// Longer chunk lines and trailers are refused.
const LINE_LIMIT_BYTES: usize = 8 * 1024;

/// Where in the body we are.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    place: Place,
    /// The digits of the size, or how much of a line was read.
    line: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// In the hexadecimal digits.
    #[default]
    Size,
    SizeSoFar(u64),
    /// In the rest of that line.
    Extension(u64),
    Data(u64),
    /// Before the line's end after data.
    DataEnd,
    /// After the last chunk, in a line of trailers of this length so far.
    Trailers,
    Over,
}

impl Chunked {
    /// How much of the chunk was data.
    pub(super) fn take(&mut self, bytes: &mut Bytes) -> Result<u64, String> {
        let mut data = 0_u64;
        while !bytes.is_empty() && self.place != Place::Over {
            if let Place::Data(left) = self.place {
                let taken = left.min(bytes.len() as u64);
                bytes.advance(usize::try_from(taken).unwrap_or_default());
                data = data.saturating_add(taken);
                let left = left.saturating_sub(taken);
                self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                continue;
            }
            self.framing(bytes.get_u8())?;
        }
        Ok(data)
    }

    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    fn framing(&mut self, byte: u8) -> Result<(), String> {
        self.line = self.line.saturating_add(1);
        if self.line > LINE_LIMIT_BYTES {
            return Err("a chunk's line is too long".to_owned());
        }
        self.place = match (self.place, byte) {
            (Place::Size, digit) => Place::SizeSoFar(hex(digit).ok_or("a chunk without a size")?),
            (Place::SizeSoFar(size) | Place::Extension(size), b'\n') => {
                self.line = 0;
                if size == 0 { Place::Trailers } else { Place::Data(size) }
            }
            (Place::SizeSoFar(size), byte) => match hex(byte) {
                Some(digit) => Place::SizeSoFar(size.checked_mul(16).ok_or("a chunk too large")?.saturating_add(digit)),
                None => Place::Extension(size),
            },
            (Place::Extension(size), _) => Place::Extension(size),
            (Place::DataEnd, b'\n') => {
                self.line = 0;
                Place::Size
            }
            (Place::DataEnd, b'\r') => Place::DataEnd,
            (Place::DataEnd, _) => return Err("more data than its chunk's size".to_owned()),
            // An empty line ends it: at most a CR before the LF.
            (Place::Trailers, b'\n') if self.line <= 2 => Place::Over,
            (Place::Trailers, b'\n') => {
                self.line = 0;
                Place::Trailers
            }
            (place, _) => place,
        };
        Ok(())
    }
}

fn hex(digit: u8) -> Option<u64> {
    char::from(digit).to_digit(16).map(u64::from)
}
