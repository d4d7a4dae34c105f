use std::io::{self, BufReader, Read as _};

use crate::{GgufError, ReadAt, read_at::Window};

/// Longest header that is read, in bytes; a large vocabulary in the metadata takes some 6 MiB.
pub(crate) const MAX_HEADER_LEN: u64 = 16 << 20;

/// A walk through a GGUF header that allocates for no length it has not checked against what is left.
pub(crate) struct Cursor<'a, R: ReadAt + ?Sized> {
    stream: BufReader<Window<'a, R>>,
    position: u64,
    end: u64,
}

impl<'a, R: ReadAt + ?Sized> Cursor<'a, R> {
    /// Stand at the first byte of `reader`.
    pub(crate) fn new(reader: &'a R) -> Self {
        let end = reader.len().min(MAX_HEADER_LEN);
        Self { stream: BufReader::with_capacity(1 << 16, Window::new(reader, 0, end)), position: 0, end }
    }

    /// Where the next byte is, counted from the start of the file.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Check that `needed` more bytes are there.
    pub(crate) fn need(&self, what: &'static str, needed: u64) -> Result<(), GgufError> {
        let left = self.end - self.position;
        if needed <= left {
            return Ok(());
        }
        Err(GgufError::Truncated { what, at: self.position, needed, left })
    }

    /// Check that `count` items of at least `least` bytes each can still follow.
    pub(crate) fn need_items(&self, what: &'static str, count: u64, least: u64) -> Result<(), GgufError> {
        self.need(what, count.saturating_mul(least))
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        self.need(what, N as u64)?;
        let mut bytes = [0; N];
        self.fill(what, &mut bytes)?;
        Ok(bytes)
    }

    /// The next unsigned 32-bit integer.
    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// The next unsigned 64-bit integer.
    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// The next text: its length in 64 bits, then its bytes.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<String, GgufError> {
        let len = self.u64(what)?;
        self.text_of(what, len)
    }

    /// The next `len` bytes as text.
    pub(crate) fn text_of(&mut self, what: &'static str, len: u64) -> Result<String, GgufError> {
        self.need(what, len)?;
        let at = self.position;
        let mut bytes = vec![0; len as usize];
        self.fill(what, &mut bytes)?;
        String::from_utf8(bytes).map_err(|error| GgufError::Text { what, at, source: error.utf8_error() })
    }

    /// Pass over `len` bytes.
    pub(crate) fn skip(&mut self, what: &'static str, len: u64) -> Result<(), GgufError> {
        self.need(what, len)?;
        let at = self.position;
        io::copy(&mut self.stream.by_ref().take(len), &mut io::sink()).map_err(|source| GgufError::Read {
            what,
            at,
            source,
        })?;
        self.position += len;
        Ok(())
    }

    fn fill(&mut self, what: &'static str, bytes: &mut [u8]) -> Result<(), GgufError> {
        let at = self.position;
        self.stream.read_exact(bytes).map_err(|source| GgufError::Read { what, at, source })?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
