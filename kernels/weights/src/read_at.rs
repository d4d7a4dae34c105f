use std::{
    io::{self, Read},
    rc::Rc,
    sync::Arc,
};

/// Bytes that can be read from any position, the one thing the readers of this crate need from a platform.
///
/// No bound asks for `Send`: a browser's file handles stay in the worker that opened them.
pub trait ReadAt {
    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Fill `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where fewer bytes than asked for lie behind `offset`, else the platform's error.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// All of the bytes, where they are memory already.
    fn mapped(&self) -> Option<&[u8]> {
        None
    }

    /// Says that bytes are not needed for now: what stands in memory for them may be given back. They can still be read.
    fn release(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buf.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn mapped(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        ReadAt::len(self.as_slice())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buf)
    }

    fn mapped(&self) -> Option<&[u8]> {
        Some(self)
    }
}

macro_rules! read_at_through {
    ($($pointer:ty),*) => {$(
        impl<R: ReadAt + ?Sized> ReadAt for $pointer {
            fn len(&self) -> u64 {
                (**self).len()
            }

            fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
                (**self).read_exact_at(offset, buf)
            }

            fn mapped(&self) -> Option<&[u8]> {
                (**self).mapped()
            }

            fn release(&self, offset: u64, len: u64) {
                (**self).release(offset, len);
            }
        }
    )*};
}

read_at_through!(&R, Box<R>, Rc<R>, Arc<R>);

/// A stretch of a [`ReadAt`] as a stream, for the parsers of headers.
pub(crate) struct Window<'a, R: ?Sized> {
    reader: &'a R,
    position: u64,
    end: u64,
}

impl<'a, R: ReadAt + ?Sized> Window<'a, R> {
    /// The bytes `start..end`; both must lie in the reader.
    pub(crate) fn new(reader: &'a R, start: u64, end: u64) -> Self {
        Self { reader, position: start, end }
    }
}

impl<R: ReadAt + ?Sized> Read for Window<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let count = buf.len().min(left);
        self.reader.read_exact_at(self.position, &mut buf[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_any_position_and_not_past_its_end() {
        let bytes: Arc<[u8]> = Arc::from([1u8, 2, 3, 4]);
        let mut buf = [0; 2];
        bytes.read_exact_at(2, &mut buf).unwrap();
        assert_eq!(buf, [3, 4]);
        for offset in [3, 4, u64::MAX] {
            assert_eq!(bytes.read_exact_at(offset, &mut buf).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        let boxed: Box<dyn ReadAt> = Box::new(vec![9u8]);
        assert_eq!((boxed.len(), boxed.is_empty()), (1, false));
    }
}
