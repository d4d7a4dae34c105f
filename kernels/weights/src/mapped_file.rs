#![expect(unsafe_code, reason = "a file's bytes as memory: nothing safe maps one")]

use std::{fs::File, io, path::Path};

use memmap2::{Mmap, UncheckedAdvice};

use crate::ReadAt;

/// A file on disk as a [`ReadAt`] whose bytes are also there as memory, so that a tensor is read without a copy of it.
///
/// Whoever replaces a model does so by renaming another file over it, which a map does not notice. One that is cut off while it is
/// open is noticed before each read, and refused as if it had ended there.
#[derive(Debug)]
pub struct MappedFile {
    file: File,
    map: Mmap,
}

impl MappedFile {
    /// Open the file at `path` for reading.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says against it.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // SAFETY: read only, and never beyond the length that the file has when it is asked for.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { file, map })
    }
}

impl ReadAt for MappedFile {
    fn len(&self) -> u64 {
        self.map.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.mapped().ok_or(io::ErrorKind::UnexpectedEof)?.read_exact_at(offset, buf)
    }

    fn mapped(&self) -> Option<&[u8]> {
        let is_whole = self.file.metadata().is_ok_and(|metadata| metadata.len() >= self.map.len() as u64);
        is_whole.then_some(&*self.map)
    }

    fn release(&self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.map.len() as u64);
        if offset < end {
            // SAFETY: the map is only read, so pages that are given back hold the same bytes when they are read again.
            let released = unsafe {
                self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset as usize, (end - offset) as usize)
            };
            // It is advice: where it is not taken, the pages stay until the system wants them.
            released.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_off_ends_early_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::fs::write(&path, [7; 8192]).unwrap();
        let mapped = MappedFile::open(&path).unwrap();
        assert_eq!(mapped.mapped().unwrap().len(), 8192);
        let mut last = [0];
        mapped.read_exact_at(8191, &mut last).unwrap();
        assert_eq!(last, [7]);
        assert_eq!(mapped.read_exact_at(8192, &mut last).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        mapped.release(0, u64::MAX);
        assert_eq!(mapped.mapped().unwrap(), [7; 8192]);
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert!(mapped.mapped().is_none());
        assert_eq!(mapped.read_exact_at(0, &mut last).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_empty_file_and_a_folder_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, []).unwrap();
        assert!(MappedFile::open(&path).unwrap().is_empty());
        assert_eq!(MappedFile::open(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
