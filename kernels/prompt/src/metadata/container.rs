//! Texts of picture files, without their pixels.

use super::{MetadataError, exif};
use crate::shown;
use flate2::read::ZlibDecoder;
use std::io::{Read, Seek, SeekFrom};

/// Longest text, packed or not.
const MAX_TEXT: usize = 4 << 20;
/// All texts of a file together.
const MAX_ALL: usize = 32 << 20;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Keys and texts, in the order of the file.
pub(super) fn texts(picture: &mut (impl Read + Seek)) -> Result<Vec<(String, String)>, MetadataError> {
    let mut start = [0; 12];
    picture.read_exact(&mut start)?;
    picture.seek(SeekFrom::Start(0))?;
    match start {
        start if start.starts_with(PNG) => png(picture),
        [0xFF, 0xD8, ..] => jpeg(picture),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => webp(picture),
        _ => Err(MetadataError::Container),
    }
}

/// `length` bytes, refused before they are asked for where they are too many.
fn take(picture: &mut impl Read, name: &str, length: usize, left: &mut usize) -> Result<Vec<u8>, MetadataError> {
    let most = MAX_TEXT.min(*left);
    if length > most {
        return Err(MetadataError::Large { name: name.to_owned(), most });
    }
    *left -= length;
    let mut bytes = vec![0; length];
    picture.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn png(picture: &mut (impl Read + Seek)) -> Result<Vec<(String, String)>, MetadataError> {
    picture.seek(SeekFrom::Start(PNG.len() as u64))?;
    let (mut texts, mut left) = (Vec::new(), MAX_ALL);
    loop {
        let mut head = [0; 8];
        picture.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        let name = String::from_utf8_lossy(&kind).into_owned();
        if &kind == b"IEND" {
            return Ok(texts);
        }
        let mut behind = 4;
        match &kind {
            b"tEXt" | b"zTXt" | b"iTXt" => {
                let bytes = take(picture, &name, length as usize, &mut left)?;
                texts.extend(text(kind, &bytes, &mut left)?);
            }
            b"eXIf" => texts.extend(exif::comment(&take(picture, &name, length as usize, &mut left)?)),
            _ => behind += i64::from(length),
        }
        picture.seek(SeekFrom::Current(behind))?;
    }
}

/// A text chunk; `None` where it is not laid out as the standard says.
fn text(kind: [u8; 4], bytes: &[u8], left: &mut usize) -> Result<Option<(String, String)>, MetadataError> {
    let Some((key, rest)) = split(bytes) else { return Ok(None) };
    let key = decoded(key);
    let packed = match (&kind, rest) {
        (b"tEXt", rest) => return Ok(Some((key, decoded(rest)))),
        (b"zTXt", [_, packed @ ..]) => packed,
        (b"iTXt", [is_packed, _, rest @ ..]) => {
            let Some((_, text)) = split(rest).and_then(|(_, rest)| split(rest)) else { return Ok(None) };
            if *is_packed == 0 {
                return Ok(Some((key, decoded(text))));
            }
            text
        }
        _ => return Ok(None),
    };
    let most = MAX_TEXT.min(*left);
    let mut unpacked = Vec::new();
    let read = ZlibDecoder::new(packed).take(most as u64 + 1).read_to_end(&mut unpacked);
    if unpacked.len() > most {
        return Err(MetadataError::Large { name: shown(&key), most });
    }
    if read.is_err() {
        return Err(MetadataError::Packed(shown(&key)));
    }
    *left -= unpacked.len();
    Ok(Some((key, decoded(&unpacked))))
}

/// What stands before and behind the first zero.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// UTF-8, which many write where the standard has Latin-1.
fn decoded(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned)
}

fn jpeg(picture: &mut (impl Read + Seek)) -> Result<Vec<(String, String)>, MetadataError> {
    picture.seek(SeekFrom::Start(2))?;
    let (mut texts, mut left) = (Vec::new(), MAX_ALL);
    loop {
        let mut head = [0; 4];
        picture.read_exact(&mut head)?;
        let [0xFF, kind, a, b] = head else { return Err(MetadataError::Container) };
        let length = usize::from(u16::from_be_bytes([a, b])).saturating_sub(2);
        match kind {
            // Pixels begin, or the picture ends.
            0xDA | 0xD9 => return Ok(texts),
            0xE1 => {
                let bytes = take(picture, "APP1", length, &mut left)?;
                texts.extend(exif::comment(&bytes));
            }
            _ => drop(picture.seek(SeekFrom::Current(length as i64))?),
        }
    }
}

fn webp(picture: &mut (impl Read + Seek)) -> Result<Vec<(String, String)>, MetadataError> {
    let end = picture.seek(SeekFrom::End(0))?;
    let mut at = picture.seek(SeekFrom::Start(12))?;
    let (mut texts, mut left) = (Vec::new(), MAX_ALL);
    while at + 8 <= end {
        let mut head = [0; 8];
        picture.read_exact(&mut head)?;
        let [kind @ .., a, b, c, d] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        let padded = u64::from(length) + u64::from(length % 2);
        if &kind == b"EXIF" {
            texts.extend(exif::comment(&take(picture, "EXIF", length as usize, &mut left)?));
        }
        at = picture.seek(SeekFrom::Start(at + 8 + padded))?;
    }
    Ok(texts)
}
