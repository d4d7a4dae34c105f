//! Reading everything that a file of weights lists.

use std::io;
use weights::{ReadAt, TensorInfo, TensorSource};

/// A tensor larger than this is not read: its bytes would be zeros, and many.
const MOST_BYTES: u64 = 1 << 12;

/// The beginning of a file that is zero from there on.
pub struct Sparse<'a> {
    pub head: &'a [u8],
    pub len: u64,
}

impl ReadAt for Sparse<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.head.len());
        let there = &self.head[from..];
        let count = there.len().min(buf.len());
        buf[..count].copy_from_slice(&there[..count]);
        buf[count..].fill(0);
        Ok(())
    }
}

/// Read what is listed, and check what is promised of each tensor.
pub fn exhaust(source: &dyn TensorSource, len: u64) {
    let mut last: Option<&str> = None;
    for info in source.tensors() {
        assert!(last.is_none_or(|last| last < info.name.as_str()), "names are sorted, and none is there twice");
        last = Some(&info.name);
        assert!(info.offset.checked_add(info.bytes).is_some_and(|end| end <= len), "{info:?} lies in the file");
        assert_eq!(info.dtype.byte_len(info.elements()), Some(info.bytes), "{info:?}");
        if info.bytes <= MOST_BYTES {
            let tensor = source.read(&info.name).expect("what is listed can be read");
            assert_eq!(tensor.bytes.len() as u64, info.bytes);
            assert_eq!(tensor.to_f32().len() as u64, info.elements());
            check_pieces(source, info, &tensor.bytes);
        }
    }
}

/// Two pieces of a tensor are what it is as a whole.
fn check_pieces(source: &dyn TensorSource, info: &TensorInfo, whole: &[u8]) {
    let (count, block) = (info.elements(), info.dtype.block_len() as u64);
    let middle = count / 2 / block * block;
    let pieces = [0..middle, middle..count].map(|elements| source.read_range(&info.name, elements));
    let pieces: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.expect("whole blocks can be read")).collect();
    assert_eq!(pieces, whole);
    assert!(source.read_range(&info.name, 0..count + 1).is_err(), "there are no more elements");
}

/// An error and its causes, which must all be sentences that can be shown.
pub fn tell(error: &dyn std::error::Error) {
    /// A name from the file is cut, so no message is as long as a file can be.
    const LONGEST: usize = 2048;
    for error in std::iter::successors(Some(error), |error| error.source()) {
        let said = error.to_string();
        assert!(!said.is_empty() && said.len() <= LONGEST, "{} bytes: {said}", said.len());
    }
}
