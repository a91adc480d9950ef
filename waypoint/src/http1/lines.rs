//! Finds the empty line that ends a head or a trailer section, in bytes that come in pieces.

/// Where the search stands. Every byte is looked at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    looked_at: usize,
    line_start: usize,
}

impl Lines {
    /// The index after the empty line, once it is in `bytes`, which must be those of the last call and more.
    ///
    /// An LF without its CR is refused (RFC 9112 section 2.2 lets a reader take it for a line end; readers that
    /// differ in that can be played against each other).
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, &'static str> {
        while let Some(at) = bytes
            .get(self.looked_at..)
            .and_then(|rest| rest.iter().position(|b| *b == b'\n'))
        {
            let lf = self.looked_at + at;
            let Some(cr) = lf.checked_sub(1).filter(|cr| bytes.get(*cr) == Some(&b'\r')) else {
                return Err(BARE_LF);
            };
            if cr == self.line_start {
                return Ok(Some(lf + 1));
            }
            self.looked_at = lf + 1;
            self.line_start = lf + 1;
        }
        self.looked_at = bytes.len();
        Ok(None)
    }

    /// No line has ended yet.
    pub(super) fn in_first(&self) -> bool {
        self.line_start == 0
    }
}

/// Every LF of a section that `httparse` has taken had its CR, if it holds exactly `lines` of them: `httparse` takes a
/// CR only before an LF, and an LF only at the end of a line.
pub(super) fn ends_are_crlf(section: &[u8], lines: usize) -> Result<(), &'static str> {
    // Pieces whose count fits a byte: compilers count sixteen at once then.
    let in_piece = |piece: &[u8]| {
        piece
            .iter()
            .fold(0u8, |count, b| count.wrapping_add(u8::from(*b == b'\r')))
    };
    let returns: usize = section.chunks(128).map(|piece| usize::from(in_piece(piece))).sum();
    if returns == lines { Ok(()) } else { Err(BARE_LF) }
}

const BARE_LF: &str = "a line ends without CR LF";
