//! The user comment of EXIF, where JPEG and WebP keep what PNG keeps in texts.

/// The key of its text.
pub(super) const COMMENT: &str = "UserComment";

const EXIF_IFD: u16 = 0x8769;
const USER_COMMENT: u16 = 0x9286;
/// Most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 1000;

/// A block of EXIF, whose numbers lie in one of two orders.
struct Tiff<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl Tiff<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some((if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }) as usize)
    }

    /// Count and value (or place) of a tag in the directory at `at`.
    fn tag(&self, at: usize, tag: u16) -> Option<(usize, usize)> {
        let count = usize::from(self.u16(at)?).min(MAX_ENTRIES);
        let entry = (0..count).map(|index| at + 2 + index * 12).find(|&entry| self.u16(entry) == Some(tag))?;
        Some((self.u32(entry + 4)?, self.u32(entry + 8)?))
    }
}

/// The user comment of a block, with or without the word that introduces it.
pub(super) fn comment(block: &[u8]) -> Option<(String, String)> {
    let bytes = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let is_little = match bytes.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let tiff = Tiff { bytes, is_little };
    let (_, directory) = tiff.tag(tiff.u32(4)?, EXIF_IFD)?;
    let (length, at) = tiff.tag(directory, USER_COMMENT)?;
    let (kind, text) = bytes.get(at..at.checked_add(length)?)?.split_at_checked(8)?;
    let text = if kind == b"UNICODE\0" { utf16(text) } else { String::from_utf8_lossy(text).into_owned() };
    Some((COMMENT.to_owned(), text.trim_end_matches('\0').to_owned()))
}

/// In whichever order makes more of it plain letters.
fn utf16(bytes: &[u8]) -> String {
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let order = if zeros(0) >= zeros(1) { u16::from_be_bytes } else { u16::from_le_bytes };
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| order([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}
