//! The text that a picture's file has about how it was made.

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The keyword under which web UIs write it.
const KEYWORD: &[u8] = b"parameters";

/// The parameters in a PNG file, as web UIs write and read them; `None` where the file has none.
pub fn parameters(png: &[u8]) -> Option<String> {
    let mut rest = png.strip_prefix(SIGNATURE)?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (data, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let text = match kind {
            b"tEXt" => latin(data),
            b"iTXt" => utf8(data),
            b"IEND" => return None,
            _ => None,
        };
        if text.is_some() {
            return text;
        }
        // Past the checksum; whoever decodes the picture checks it.
        rest = after.get(4..)?;
    }
}

fn value(data: &[u8]) -> Option<&[u8]> {
    data.strip_prefix(KEYWORD)?.strip_prefix(b"\0")
}

fn latin(data: &[u8]) -> Option<String> {
    value(data).map(|text| text.iter().map(|&byte| char::from(byte)).collect())
}

/// Only text that is not compressed: our own writer never compresses it.
fn utf8(data: &[u8]) -> Option<String> {
    let [0, _, after @ ..] = value(data)? else { return None };
    let mut parts = after.splitn(3, |&byte| byte == 0);
    let (_language, _translated, text) = (parts.next()?, parts.next()?, parts.next()?);
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = SIGNATURE.to_vec();
        for (kind, data) in chunks {
            file.extend((data.len() as u32).to_be_bytes());
            file.extend(*kind);
            file.extend(*data);
            file.extend([0; 4]);
        }
        file
    }

    #[test]
    fn text_of_both_kinds_is_found() {
        let latin = file(&[
            (b"IHDR", &[0; 13]),
            (b"tEXt", b"Software\0x"),
            (b"tEXt", b"parameters\0a red apple\nSteps: 20"),
            (b"IEND", b""),
        ]);
        assert_eq!(parameters(&latin).as_deref(), Some("a red apple\nSteps: 20"));
        let utf8 = file(&[(b"iTXt", "parameters\0\0\0\0\0ein Äpfel 🍎".as_bytes())]);
        assert_eq!(parameters(&utf8).as_deref(), Some("ein Äpfel 🍎"));
    }

    #[test]
    fn a_file_without_it_has_none() {
        assert_eq!(parameters(b"GIF89a"), None);
        assert_eq!(parameters(&file(&[(b"IHDR", &[0; 13]), (b"IEND", b""), (b"tEXt", b"parameters\0late")])), None);
        let whole = file(&[(b"IHDR", &[0; 13]), (b"tEXt", b"parameters\0x")]);
        for end in 0..whole.len() - 5 {
            assert_eq!(parameters(&whole[..end]), None, "cut at {end}");
        }
        let compressed = file(&[(b"iTXt", b"parameters\0\x01\0\0\0zzz"), (b"IEND", b"")]);
        assert_eq!(parameters(&compressed), None);
    }
}
