//! What pictures say of how they were drawn.

use prompt::{
    Prompt,
    metadata::{Metadata, MetadataError, parse_infotext},
};
use std::io::Cursor;

/// What the picture formats begin with.
const STARTS: [&[u8]; 3] = [b"\x89PNG", b"\xff\xd8", b"RIFF"];

/// Reads the bytes as a picture; what is none lies in one, as a text whose key ends at the first line end.
pub fn picture(data: &[u8]) {
    if STARTS.iter().any(|start| data.starts_with(start)) {
        return check(Metadata::read(&mut Cursor::new(data)));
    }
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (key, text) = data.split_at(at);
    let text = text.strip_prefix(b"\n").unwrap_or(text);
    check(Metadata::read(&mut Cursor::new(png(key, text))));
    parse_infotext(&String::from_utf8_lossy(text));
}

/// A PNG of one text alone; nobody looks at the pixels.
fn png(key: &[u8], text: &[u8]) -> Vec<u8> {
    let length = key.len() + 1 + text.len();
    let mut file = Vec::with_capacity(length + 32);
    file.extend(b"\x89PNG\r\n\x1a\n");
    file.extend((length as u32).to_be_bytes());
    for part in [b"tEXt".as_slice(), key, b"\0", text, b"\0\0\0\0\0\0\0\0IEND\0\0\0\0"] {
        file.extend(part);
    }
    file
}

fn check(read: Result<Option<Metadata>, MetadataError>) {
    match read {
        Ok(Some(metadata)) => {
            let json = metadata.json();
            assert_eq!(json["origin"], metadata.origin.as_str());
            Prompt::parse(&metadata.prompt_with_networks()).ok();
            parse_infotext(&metadata.text());
        }
        Ok(None) => {}
        Err(error) => crate::source::tell(&error),
    }
}
