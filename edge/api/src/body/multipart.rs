//! `multipart/form-data` (RFC 7578), read from a whole body without copying its files.
//!
//! The grammar is RFC 2046's, section 5.1, at its narrowest: no preamble, no epilogue, no nested parts, CRLF alone. Clients write
//! exactly that, and whatever is looser could be split in two ways by two readers.

use super::{Body, BodyError, Encoding, Fields, File, MAX_LENGTH};
use serde_json::Value;
use std::{collections::BTreeSet, ops::Range};
use thiserror::Error;

/// Most parts of one body.
pub const MAX_PARTS: usize = 64;
/// Longest head of one part in bytes.
pub const MAX_HEAD: usize = 4 << 10;
/// Longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// Why a body is no `multipart/form-data`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MultipartError {
    /// `Content-Type` names no boundary, or one that may not be.
    #[error("Content-Type must name a boundary of 1 to {MAX_BOUNDARY} characters")]
    Boundary,
    /// The body does not begin with its boundary.
    #[error("the body must begin with `--` and the boundary that Content-Type names")]
    Start,
    /// A boundary is followed by something else than a line's end or `--`.
    #[error("byte {at}: a boundary must be followed by CRLF or `--`")]
    Delimiter {
        /// Bytes before it.
        at: usize,
    },
    /// The last boundary is not there.
    #[error("the body ends within a part; its last line must be the boundary between `--` and `--`")]
    Unfinished,
    /// Something follows the last boundary.
    #[error("byte {at}: nothing may follow the last boundary")]
    Trailing {
        /// Bytes before it.
        at: usize,
    },
    /// There are too many parts.
    #[error("the body has more than {MAX_PARTS} parts")]
    TooMany,
    /// The head of a part is not readable.
    #[error("byte {at}: {what}")]
    Head {
        /// Bytes before the head.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A text is not UTF-8.
    #[error("the part `{0}` is not UTF-8")]
    NotText(String),
}

/// Reads a body whose `Content-Type` is given in full.
///
/// A part without a file name is text and becomes a string, `name[]` repeated an array; a part with one is a [`File`]. A file
/// input that nobody filled, without a name and without bytes, is left out.
///
/// # Errors
/// [`BodyError`] for anything that two readers could understand differently, among it a name that comes twice.
pub fn multipart(bytes: &[u8], content_type: &str) -> Result<Body, BodyError> {
    if bytes.len() > MAX_LENGTH {
        return Err(BodyError::TooLong { found: bytes.len() });
    }
    let mut found = Found::default();
    let boundary = boundary(content_type).ok_or(MultipartError::Boundary)?;
    for (count, part) in (Parts { bytes, delimiter: format!("\r\n--{boundary}"), at: None, is_over: false }).enumerate()
    {
        let (head, content) = part?;
        if count == MAX_PARTS {
            return Err(MultipartError::TooMany.into());
        }
        let text = std::str::from_utf8(&bytes[head.clone()]);
        let head = text
            .map_err(|_| "the head is not UTF-8")
            .and_then(Head::read)
            .map_err(|what| MultipartError::Head { at: head.start, what })?;
        found.add(head, content, bytes)?;
    }
    Ok(Body { encoding: Encoding::Multipart, fields: found.fields, files: found.files })
}

#[derive(Default)]
struct Found {
    fields: Fields,
    files: Vec<File>,
    /// Names that may not come again.
    names: BTreeSet<String>,
    /// Names that may, as arrays.
    arrays: BTreeSet<String>,
}

impl Found {
    fn add(&mut self, head: Head, content: Range<usize>, bytes: &[u8]) -> Result<(), BodyError> {
        let Head { name, file_name, content_type } = head;
        if file_name.as_deref() == Some("") && content.is_empty() {
            return Ok(());
        }
        let array = name.strip_suffix("[]").map(str::to_owned);
        let is_new = match &array {
            Some(name) => {
                self.arrays.insert(name.clone());
                !self.names.contains(name)
            }
            None => self.names.insert(name.clone()) && !self.arrays.contains(&name),
        };
        if !is_new {
            return Err(BodyError::Twice(array.unwrap_or(name)));
        }
        if file_name.is_some() {
            self.files.push(File { name: array.unwrap_or(name), file_name, content_type, bytes: content });
            return Ok(());
        }
        let text = std::str::from_utf8(&bytes[content]).map_err(|_| MultipartError::NotText(name.clone()))?;
        let text = Value::String(text.to_owned());
        match array {
            Some(name) => {
                if let Value::Array(texts) = self.fields.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                    texts.push(text);
                }
            }
            None => drop(self.fields.insert(name, text)),
        }
        Ok(())
    }
}

/// Where a part's head and its content stand.
type Part = (Range<usize>, Range<usize>);

/// Splits a body at its boundaries, into heads and contents.
struct Parts<'a> {
    bytes: &'a [u8],
    /// The boundary with the line's end and the dashes before it.
    delimiter: String,
    /// Where the next part's head begins; nothing before the first.
    at: Option<usize>,
    is_over: bool,
}

impl Parts<'_> {
    /// What follows a boundary that ends at `at`: the next head, or nothing more.
    fn after(&mut self, at: usize) -> Result<(), MultipartError> {
        let rest = &self.bytes[at..];
        if let Some(rest) = rest.strip_prefix(b"--") {
            self.is_over = true;
            return match rest {
                [] | b"\r\n" => Ok(()),
                _ => Err(MultipartError::Trailing { at: at + 2 }),
            };
        }
        // Transport padding, which RFC 2046 lets a composer add.
        let padding = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
        if !rest[padding..].starts_with(b"\r\n") {
            return Err(if rest.is_empty() { MultipartError::Unfinished } else { MultipartError::Delimiter { at } });
        }
        self.at = Some(at + padding + 2);
        Ok(())
    }

    fn part(&mut self) -> Result<Option<Part>, MultipartError> {
        let start = if let Some(start) = self.at {
            start
        } else {
            // The line's end before the first boundary may be left out.
            let length = self.delimiter.len();
            let start = if self.bytes.starts_with(self.delimiter.as_bytes()) {
                length
            } else if self.bytes.starts_with(&self.delimiter.as_bytes()[2..]) {
                length - 2
            } else {
                return Err(MultipartError::Start);
            };
            self.after(start)?;
            start
        };
        if self.is_over {
            return Ok(None);
        }
        let start = self.at.unwrap_or(start);
        let head = &self.bytes[start..self.bytes.len().min(start + MAX_HEAD + 4)];
        let Some(length) = find(head, b"\r\n\r\n") else {
            let what = "a part's head must end with an empty line, after 4096 bytes at most";
            return Err(if head.len() < MAX_HEAD {
                MultipartError::Unfinished
            } else {
                MultipartError::Head { at: start, what }
            });
        };
        let content = start + length + 4;
        let found = find(&self.bytes[content..], self.delimiter.as_bytes()).ok_or(MultipartError::Unfinished)?;
        self.after(content + found + self.delimiter.len())?;
        Ok(Some((start..start + length, content..content + found)))
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<Part, MultipartError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let part = self.part();
        self.is_over |= part.is_err();
        part.transpose()
    }
}

/// Where a pattern that begins with a carriage return first is.
fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|&byte| byte == b'\r')?;
        if bytes[at..].starts_with(pattern) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// What the head of a part says.
struct Head {
    name: String,
    file_name: Option<String>,
    content_type: Option<String>,
}

impl Head {
    fn read(text: &str) -> Result<Self, &'static str> {
        let (mut disposition, mut content_type) = (None, None);
        for line in text.split("\r\n") {
            let (name, value) = line.split_once(':').ok_or("a line of a part's head has no colon")?;
            if name.trim() != name || value.contains(['\r', '\n', '\0']) {
                return Err("a part's head has white space where none may be");
            }
            let slot = match name.to_ascii_lowercase().as_str() {
                "content-disposition" => &mut disposition,
                "content-type" => &mut content_type,
                "content-transfer-encoding"
                    if !["7bit", "8bit", "binary"].contains(&value.trim().to_ascii_lowercase().as_str()) =>
                {
                    return Err("Content-Transfer-Encoding must be left out");
                }
                _ => continue,
            };
            if slot.replace(value.trim()).is_some() {
                return Err("a part's head has a line twice");
            }
        }
        let disposition = disposition.ok_or("a part has no Content-Disposition")?;
        let (kind, parameters) = parameters(disposition).ok_or("Content-Disposition is not readable")?;
        let value = |wanted| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let name = value("name").filter(|name| !name.is_empty()).ok_or("a part has no name")?;
        if !kind.eq_ignore_ascii_case("form-data") {
            return Err("Content-Disposition must be form-data");
        }
        Ok(Self { name, file_name: value("filename"), content_type: content_type.map(str::to_owned) })
    }
}

fn boundary(content_type: &str) -> Option<String> {
    let (_, parameters) = parameters(content_type)?;
    let (_, boundary) = parameters.into_iter().find(|(name, _)| name == "boundary")?;
    let is_usable = (1..=MAX_BOUNDARY).contains(&boundary.len())
        && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte))
        && !boundary.ends_with(' ');
    is_usable.then_some(boundary)
}

/// A header's value and its parameters (RFC 9110, section 5.6.6), names in small letters; nothing where one comes twice.
pub(super) fn parameters(value: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
    let mut parameters: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Some((kind.trim(), parameters));
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let value;
        (value, rest) = if let Some(quoted) = after.strip_prefix('"') {
            unquoted(quoted)?
        } else {
            let (value, rest) = after.split_at(after.find(';').unwrap_or(after.len()));
            (value.trim().to_owned(), rest)
        };
        if !rest.trim_start().is_empty() && !rest.trim_start().starts_with(';')
            || parameters.iter().any(|(other, _)| *other == name)
        {
            return None;
        }
        parameters.push((name, value));
    }
}

/// A quoted string up to its closing quote, and what follows. A backslash escapes a quote and itself alone, since old browsers
/// send paths of Windows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if text[at + 1..].starts_with(['"', '\\']) => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const TYPE: &str = "multipart/form-data; boundary=XX";

    fn refused(body: &str) -> String {
        multipart(body.as_bytes(), TYPE).expect_err(body).to_string()
    }

    #[test]
    fn what_browsers_and_curl_send_is_read() {
        let body = "--XX\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na red\r\napple\r\n\
            --XX\r\ncontent-disposition: form-data; name=\"images[]\"\r\n\r\na\r\n\
            --XX  \r\nContent-Disposition: form-data; name=\"images[]\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\r\n\
            --XX\r\nContent-Disposition: form-data; name=image; filename=\"a \\\"b\\\".png\"\r\nContent-Type: image/png\r\n\r\n\x01\r\n--X\r\n\r\n\
            --XX\r\nContent-Disposition: form-data; name=\"mask\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n\
            --XX--\r\n";
        let read = multipart(body.as_bytes(), "multipart/form-data; charset=utf-8; boundary=\"XX\"").expect("a body");
        assert_eq!(json!(read.fields), json!({ "prompt": "a red\r\napple", "images": ["a", ""] }));
        let [file] = read.files.as_slice() else { panic!("{:?}", read.files) };
        assert_eq!((file.name.as_str(), file.file_name.as_deref()), ("image", Some("a \"b\".png")));
        assert_eq!(file.content_type.as_deref(), Some("image/png"));
        assert_eq!(&body.as_bytes()[file.bytes.clone()], b"\x01\r\n--X\r\n");
        assert!(multipart(b"--XX--", TYPE).expect("nothing in it").fields.is_empty());
    }

    #[test]
    fn two_readers_could_not_split_a_body_differently() {
        let part = |name: &str| format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n1\r\n");
        let seed = part("seed");
        assert!(refused(&format!("{seed}{seed}--XX--")).contains("the field `seed` twice"));
        assert!(refused(&format!("{seed}{}--XX--", part("seed[]"))).contains("the field `seed` twice"));
        assert!(refused(&format!("{}{seed}--XX--", part("seed[]"))).contains("the field `seed` twice"));
        assert!(refused(&format!("hello\r\n{seed}--XX--")).contains("must begin with"));
        assert!(refused(&format!("{seed}--XX--\r\nmore")).contains("nothing may follow"));
        assert!(refused(&seed).contains("ends within a part"));
        assert!(refused("--XXY\r\n").contains("must be followed by CRLF"));
        assert!(refused(&format!("{}--XX--", seed.replace("\r\n", "\n"))).contains("must be followed by CRLF"));
        assert!(
            refused(&format!("--XX\r\nA: {}\r\n\r\n\r\n--XX--", "a".repeat(MAX_HEAD))).contains("after 4096 bytes")
        );
        assert!(refused("--XX\r\nContent-Disposition: form-data\r\n\r\n\r\n--XX--").contains("a part has no name"));
        assert!(
            refused("--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--XX--").contains("must be form-data")
        );
        assert!(
            refused("--XX\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n\r\n--XX--")
                .contains("not readable")
        );
        let twice = "--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--XX--";
        assert!(refused(twice).contains("has a line twice"));
        let encoded =
            "--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n\r\n--XX--";
        assert!(refused(encoded).contains("Content-Transfer-Encoding"));
        let many: String = (0..=MAX_PARTS).map(|index| part(&index.to_string())).collect();
        assert!(refused(&format!("{many}--XX--")).contains("more than 64 parts"));
        for kind in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"a",
            "multipart/form-data; boundary=a{}",
        ] {
            assert!(multipart(b"--XX--", kind).expect_err(kind).to_string().contains("must name a boundary"), "{kind}");
        }
        let not_text = b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--XX--";
        assert!(multipart(not_text, TYPE).expect_err("not UTF-8").to_string().contains("the part `a` is not UTF-8"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(texts in prop::collection::vec("[^X]{0,20}", 0..8), file in prop::collection::vec(0_u8..b'X', 0..200)) {
            let mut body = Vec::new();
            for (index, text) in texts.iter().enumerate() {
                body.extend_from_slice(format!("--XX\r\nContent-Disposition: form-data; name=\"t{index}\"\r\n\r\n{text}\r\n").as_bytes());
            }
            body.extend_from_slice(b"--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n");
            body.extend_from_slice(&file);
            body.extend_from_slice(b"\r\n--XX--\r\n");
            let read = multipart(&body, TYPE).expect("a body");
            prop_assert_eq!(&body[read.files[0].bytes.clone()], file.as_slice());
            prop_assert_eq!(read.fields.len(), texts.len());
            for (index, text) in texts.iter().enumerate() {
                prop_assert_eq!(read.fields[&format!("t{index}")].as_str(), Some(text.as_str()));
            }
        }

        #[test]
        fn no_bytes_end_the_process(bytes in prop::collection::vec(prop::sample::select(b"-X\r\n:;=\"\\an ".to_vec()), 0..200), start in any::<bool>()) {
            let head: &[u8] = if start { b"--XX\r\nContent-Disposition: form-data; name=" } else { b"" };
            drop(multipart(&[head, bytes.as_slice()].concat(), TYPE));
        }
    }
}
