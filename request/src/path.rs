//! The one normalised path that is routed, judged, logged and sent upstream.
//!
//! The rules are those that Istio asks of Envoy, in Envoy's order: decode escaped slashes
//! (`path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD`), canonicalise (`normalize_path`, which is googleurl's
//! path canonicaliser), merge slashes (`merge_slashes`). See [`Mode`] for which setting asks for which.

/// Istio's `pathNormalization.normalization` (MeshConfig).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is changed.
    None,
    /// Envoy's `normalize_path`. The default. Dot segments are removed, also where their dots are escaped or they
    /// have parameters (`..;a=b`); `\` becomes `/`; escaped unreserved characters (letters, digits, `-`, `.`, `_`, `~`) are decoded;
    /// `"`, `<`, `>`, `^`, `` ` ``, `{`, `|`, `}` are escaped; all other escapes stay as written, case and all; `%00` is refused.
    #[default]
    Base,
    /// BASE, then runs of slashes become one. (A path of nothing but slashes becomes `/`; Envoy leaves `//`.)
    MergeSlashes,
    /// `%2F`, `%5C` and `\` become `/`, then MERGE_SLASHES.
    DecodeAndMergeSlashes,
}

/// A normalised path, without the query. Starts with `/`, or is `*` (OPTIONS).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(Box<str>);

/// Why a path is refused (400).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad path: {0}")]
pub struct BadPath(pub &'static str);

impl Path {
    /// Normalises `raw` (no query, no fragment). Normalising the result again changes nothing.
    ///
    /// # Errors
    /// A path that does not begin with `/` (and is not `*`) or holds a byte that is not printable ASCII, `?` or `#`;
    /// in every mode but NONE also `%00`, and a dot segment with parameters whose dots or slash are disguised.
    pub fn normalise(raw: &str, mode: Mode) -> Result<Self, BadPath> {
        if raw == "*" {
            return Ok(Self(raw.into()));
        }
        if !raw.starts_with('/') {
            return Err(BadPath("it does not begin with '/'"));
        }
        if is_clean(raw, mode)? {
            return Ok(Self(raw.into()));
        }
        let mut path = Canonicaliser::new(raw, mode == Mode::DecodeAndMergeSlashes).run()?;
        if matches!(mode, Mode::MergeSlashes | Mode::DecodeAndMergeSlashes) {
            merge_slashes(&mut path);
        }
        Ok(Self(path.into_boxed_str()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses bytes that no path may hold; tells whether nothing needs to be looked at more closely.
fn is_clean(raw: &str, mode: Mode) -> Result<bool, BadPath> {
    let merging = matches!(mode, Mode::MergeSlashes | Mode::DecodeAndMergeSlashes);
    let mut clean = true;
    let mut previous = 0;
    for byte in raw.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {}
            0..=b' ' | 0x7f..=0xff => return Err(BadPath("a byte that is not printable ASCII")),
            b'?' | b'#' => return Err(BadPath("'?' or '#'")),
            b'.' => clean &= previous != b'/',
            b'/' => clean &= !(merging && previous == b'/'),
            b'%' | b'\\' => clean = false,
            _ if must_be_escaped(byte) => clean = false,
            _ => {}
        }
        previous = byte;
    }
    Ok(clean || mode == Mode::None)
}

/// The printable characters that googleurl escapes in a path.
fn must_be_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn merge_slashes(path: &mut String) {
    let mut previous = '\0';
    path.retain(|c| {
        let again = c == '/' && previous == '/';
        previous = c;
        !again
    });
}

/// One pass over the path: what is read, and what has been written so far.
struct Canonicaliser<'a> {
    input: &'a [u8],
    /// Whether `%2F` and `%5C` are slashes.
    decode_slashes: bool,
    output: String,
    /// Where in `output` the last `%` stands that began no escape in the input.
    stray_percent: Option<usize>,
}

impl<'a> Canonicaliser<'a> {
    fn new(raw: &'a str, decode_slashes: bool) -> Self {
        Self {
            input: raw.as_bytes(),
            decode_slashes,
            output: String::with_capacity(raw.len()),
            stray_percent: None,
        }
    }

    fn run(mut self) -> Result<String, BadPath> {
        let mut at = 0;
        while let Some(&byte) = self.input.get(at) {
            at += if let Some(len) = self.slash_at(at) {
                self.output.push('/');
                len
            } else if let Some(len) = self.dot_at(at) {
                self.dot(at, len)?
            } else if byte == b'%' {
                self.percent(at)?
            } else {
                self.literal(byte);
                1
            };
        }
        Ok(self.output)
    }

    /// Takes one dot, or the dot segment that it begins. Answers the length of what was taken.
    fn dot(&mut self, at: usize, len: usize) -> Result<usize, BadPath> {
        if !self.output.ends_with('/') {
            self.push('.');
            return Ok(len);
        }
        let second = self.dot_at(at + len);
        let end = at + len + second.unwrap_or(0);
        let end = if self.input.get(end) == Some(&b';') {
            self.parameters(at, end)?
        } else {
            end
        };
        let end = match self.slash_at(end) {
            Some(slash_len) => end + slash_len,
            None if end == self.input.len() => end,
            None => {
                self.push('.');
                return Ok(len);
            }
        };
        if second.is_some() {
            self.back_up();
        }
        Ok(end - at)
    }

    /// Skips the parameters of the dot segment from `start` to `end` (`..;a=b`), answers where they end.
    ///
    /// Envoy drops them where the segment is written plainly (CVE-2026-73551). Where it is not (`%2e%2e;`, `\..;`)
    /// Envoy forwards `..;`, which the next reader resolves: refused here.
    fn parameters(&self, start: usize, end: usize) -> Result<usize, BadPath> {
        let before = self.input.get(..start).unwrap_or_default();
        let plain_slash =
            before.ends_with(b"/") || self.decode_slashes && (before.ends_with(b"%2f") || before.ends_with(b"%2F"));
        let plain_dots = self
            .input
            .get(start..end)
            .is_some_and(|dots| dots.iter().all(|b| *b == b'.'));
        if !plain_slash || !plain_dots {
            return Err(BadPath("a disguised dot segment with parameters"));
        }
        // A backslash does not end them, in Envoy's order of things.
        let is_slash = |at: &usize| self.slash_at(*at).is_some() && !self.is_backslash(*at);
        Ok((end..self.input.len()).find(is_slash).unwrap_or(self.input.len()))
    }

    /// Drops the last segment; the output ends with a slash before and after.
    fn back_up(&mut self) {
        let without_slash = self.output.strip_suffix('/').unwrap_or(&self.output);
        let end = without_slash.rfind('/').map_or(0, |slash| slash + 1);
        // The first slash stays: there is nothing above the root.
        self.output.truncate(end.max(1));
        self.stray_percent = self.stray_percent.filter(|stray| *stray < self.output.len());
    }

    fn percent(&mut self, at: usize) -> Result<usize, BadPath> {
        match self.escape_at(at) {
            Some((0, _)) => Err(BadPath("an escaped NUL")),
            Some((byte, _)) if is_unreserved(byte) => {
                self.push(char::from(byte));
                Ok(3)
            }
            Some((_, [high, low])) => {
                self.output.push('%');
                self.output.push(char::from(high));
                self.output.push(char::from(low));
                Ok(3)
            }
            None => {
                self.stray_percent = Some(self.output.len());
                self.output.push('%');
                Ok(1)
            }
        }
    }

    fn literal(&mut self, byte: u8) {
        if must_be_escaped(byte) {
            self.output.push('%');
            self.output.push(hex_digit(byte >> 4));
            self.output.push(hex_digit(byte & 15));
        } else {
            self.push(char::from(byte));
        }
    }

    /// Writes one character. Where it would complete an escape that the input did not hold (`%%300` -> `%00`), the
    /// stray percent sign is escaped, or the next reader would decode once more.
    fn push(&mut self, c: char) {
        self.output.push(c);
        let Some(stray) = self.stray_percent else { return };
        if let Some([b'%', high, low]) = self.output.as_bytes().get(stray..)
            && high.is_ascii_hexdigit()
            && low.is_ascii_hexdigit()
        {
            self.output.insert_str(stray + 1, "25");
            self.stray_percent = None;
        }
    }

    /// The length of the slash at this place, if there is one.
    fn slash_at(&self, at: usize) -> Option<usize> {
        match self.input.get(at)? {
            b'/' | b'\\' => Some(1),
            b'%' if self.decode_slashes => match self.escape_at(at)? {
                (b'/' | b'\\', _) => Some(3),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_backslash(&self, at: usize) -> bool {
        matches!(self.input.get(at), Some(b'\\')) || self.escape_at(at).is_some_and(|(byte, _)| byte == b'\\')
    }

    /// The length of the dot at this place, if there is one.
    fn dot_at(&self, at: usize) -> Option<usize> {
        match self.input.get(at)? {
            b'.' => Some(1),
            b'%' => self.escape_at(at).filter(|(byte, _)| *byte == b'.').map(|_| 3),
            _ => None,
        }
    }

    /// The byte that `%xx` stands for, and its digits.
    fn escape_at(&self, at: usize) -> Option<(u8, [u8; 2])> {
        match self.input.get(at..at + 3)? {
            [b'%', high, low] => {
                let value = |digit: u8| char::from(digit).to_digit(16);
                Some(((value(*high)? * 16 + value(*low)?) as u8, [*high, *low]))
            }
            _ => None,
        }
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

#[cfg(test)]
mod tests;
