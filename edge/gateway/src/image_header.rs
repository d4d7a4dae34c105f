//! Format and size of a picture from its first bytes, without a pixel being decoded.
//!
//! What is behind the header may be anything: a node decodes it under limits of its own. Here it is only made sure that a
//! picture is one of those that are taken, and not larger than they may be.

use thiserror::Error;

/// Longest side in pixels.
pub const MAX_SIDE: u32 = 4096;

/// A format that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics (RFC 2083).
    Png,
    /// JPEG (ITU T.81).
    Jpeg,
    /// WebP (RFC 9649).
    WebP,
}

impl Format {
    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format.
    pub format: Format,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Why a picture is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// It is none, or of another format.
    #[error("this is no PNG, JPEG or WebP picture")]
    Format,
    /// Its header is not whole, or not one.
    #[error("the picture's header is damaged or cut off")]
    Damaged,
    /// It has no pixels, or too many.
    #[error("the picture is {width} x {height}, but its sides may be 1 to {MAX_SIDE} pixels")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

/// Reads a picture's header; the whole file is looked through at most once.
///
/// # Errors
/// [`HeaderError`].
pub fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    let (format, size) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        (Format::Png, png(bytes))
    } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        (Format::Jpeg, jpeg(bytes))
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        (Format::WebP, webp(bytes))
    } else {
        return Err(HeaderError::Format);
    };
    let (width, height) = size.ok_or(HeaderError::Damaged)?;
    let fits = |side| (1..=MAX_SIDE).contains(&side);
    if fits(width) && fits(height) {
        Ok(Header { format, width, height })
    } else {
        Err(HeaderError::Size { width, height })
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// `IHDR` comes first, and its length is always the same.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    if array(bytes, 8)? != *b"\0\0\0\x0dIHDR" {
        return None;
    }
    Some((u32::from_be_bytes(array(bytes, 16)?), u32::from_be_bytes(array(bytes, 20)?)))
}

/// From segment to segment to the first start of a frame.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let [start, marker] = array(bytes, at)?;
        if start != 0xff {
            return None;
        }
        match marker {
            // Fill bytes, and markers without a length.
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            // Every kind of frame but tables (C4), extensions (C8) and arithmetic conditioning (CC), which share the range.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [high, low] = array(bytes, at + 5)?;
                let height = u16::from_be_bytes([high, low]);
                let width = u16::from_be_bytes(array(bytes, at + 7)?);
                return Some((u32::from(width), u32::from(height)));
            }
            // The picture's data, or its end, before any frame.
            0xd8..=0xda => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes(array(bytes, at + 2)?));
                if length < 2 {
                    return None;
                }
                at += 2 + length;
            }
        }
    }
}

/// The first chunk says which of three kinds it is.
fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match &array::<4>(bytes, 12)? {
        b"VP8 " => {
            if array(bytes, 23)? != [0x9d, 0x01, 0x2a] {
                return None;
            }
            let side = |at| Some(u32::from(u16::from_le_bytes(array(bytes, at)?) & 0x3fff));
            Some((side(26)?, side(28)?))
        }
        b"VP8L" => {
            let [signature] = array(bytes, 20)?;
            let bits = u32::from_le_bytes(array(bytes, 21)?);
            (signature == 0x2f).then_some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let side = |at| {
                let [a, b, c] = array(bytes, at)?;
                Some(u32::from_le_bytes([a, b, c, 0]) + 1)
            };
            Some((side(24)?, side(27)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 7]))
            .write_to(&mut bytes, format)
            .unwrap();
        bytes.into_inner()
    }

    const FORMATS: [(ImageFormat, Format); 3] =
        [(ImageFormat::Png, Format::Png), (ImageFormat::Jpeg, Format::Jpeg), (ImageFormat::WebP, Format::WebP)];

    #[test]
    fn sizes_are_those_that_an_encoder_wrote() {
        for (encoder, format) in FORMATS {
            for (width, height) in [(1, 1), (64, 48), (513, 7), (4096, 2)] {
                let bytes = encoded(width, height, encoder);
                assert_eq!(read(&bytes), Ok(Header { format, width, height }), "{format:?}");
            }
            assert_eq!(read(&encoded(4097, 1, encoder)), Err(HeaderError::Size { width: 4097, height: 1 }));
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for bytes in
            [&b""[..], b"GIF89a", b"<svg xmlns", b"<!DOCTYPE html>", b"%PDF-1.7", b"RIFF\0\0\0\0WAVE", b"\x89PNG"]
        {
            assert_eq!(read(bytes), Err(HeaderError::Format));
        }
        let mut bomb = encoded(1, 1, ImageFormat::Png);
        bomb[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(read(&bomb), Err(HeaderError::Size { width: 0x7fff_ffff, height: 0x7fff_ffff }));
        bomb[16..24].fill(0);
        assert_eq!(read(&bomb), Err(HeaderError::Size { width: 0, height: 0 }));
        assert_eq!(read(b"\xff\xd8\xff\xe0\0\0"), Err(HeaderError::Damaged), "a segment shorter than its length");
        let mut fill = vec![0xff; 100_000];
        fill[1] = 0xd8;
        assert_eq!(read(&fill), Err(HeaderError::Damaged), "fill bytes alone");
    }

    #[test]
    fn a_header_that_is_cut_off_is_no_header() {
        for (encoder, _) in FORMATS {
            let bytes = encoded(30, 20, encoder);
            let whole = (0..bytes.len()).find(|&length| read(&bytes[..length]).is_ok()).unwrap();
            assert!((0..whole).all(|length| read(&bytes[..length]).is_err()));
        }
    }

    proptest! {
        #[test]
        fn anything_may_come(start in 0_usize..4, bytes: Vec<u8>) {
            let starts: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8 "];
            if let Ok(header) = read(&[starts[start], &bytes].concat()) {
                prop_assert!(header.width <= MAX_SIDE && header.height <= MAX_SIDE);
            }
        }
    }
}
