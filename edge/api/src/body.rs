//! A request's body as named fields, whatever it was encoded as.
//!
//! Clients of the older dialects send JSON or forms as they please, so both end in one shape: JSON values under names that are
//! unique. What is refused here is refused in every dialect: a parser that took the last of two equal names, or recursed as
//! deep as it was told to, would let a proxy and the edge read the same body differently (RFC 8259, section 4), or end the
//! process.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{cell::Cell, fmt, ops::Range};
use thiserror::Error;

mod multipart;

pub use multipart::{MAX_HEAD, MAX_PARTS, MultipartError, multipart};

/// Longest body in bytes.
pub const MAX_LENGTH: usize = 10 << 20;
/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 64;

/// The fields of a body, by name.
pub type Fields = Map<String, Value>;

/// What a body was encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`: every value is a string.
    Form,
    /// `multipart/form-data`: every value is a string, and files may stand beside them.
    Multipart,
}

/// A file within a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The field that it is.
    pub name: String,
    /// What it was called where it came from.
    pub file_name: Option<String>,
    /// What the client says that it is; bytes decide.
    pub content_type: Option<String>,
    /// Where its bytes stand in the body.
    pub bytes: Range<usize>,
}

/// A whole body.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// What it was.
    pub encoding: Encoding,
    /// Its texts and values, by name.
    pub fields: Fields,
    /// Its files, in their order.
    pub files: Vec<File>,
}

/// Why a body has no fields.
#[derive(Debug, Error)]
pub enum BodyError {
    /// Its `Content-Type` is none of those that are read.
    #[error(
        "Content-Type is `{0}`, but must be application/json, application/x-www-form-urlencoded or multipart/form-data"
    )]
    UnsupportedType(String),
    /// It is no `multipart/form-data`.
    #[error("the body is not usable multipart/form-data: {0}")]
    Multipart(#[from] MultipartError),
    /// It is longer than [`MAX_LENGTH`].
    #[error("the body has {found} bytes, but may have {MAX_LENGTH} at most")]
    TooLong {
        /// Its length, as far as it was read.
        found: usize,
    },
    /// It is not UTF-8.
    #[error("the body is not UTF-8 from byte {valid_up_to} on")]
    Encoding {
        /// Bytes before the first that is wrong.
        valid_up_to: usize,
    },
    /// It is no JSON, or has a name twice, or is nested too deep.
    #[error("the body is not usable JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// It is JSON, but no object.
    #[error("the body is {found}, but must be an object with named fields")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// A form has a name twice.
    #[error("the form has the field `{0}` twice")]
    Twice(String),
}

/// Reads a body by its `Content-Type`; one without is JSON.
///
/// # Errors
/// [`BodyError::UnsupportedType`] for any other type, and what the type's reader says.
pub fn read(content_type: Option<&str>, bytes: &[u8]) -> Result<Body, BodyError> {
    let Some(content_type) = content_type.filter(|value| !value.trim().is_empty()) else {
        return plain(Encoding::Json, bytes);
    };
    match encoding(content_type) {
        Some(Encoding::Multipart) => multipart(bytes, content_type),
        Some(encoding) => plain(encoding, bytes),
        None if bytes.is_empty() => plain(Encoding::Json, bytes),
        None => Err(BodyError::UnsupportedType(content_type.chars().take(100).collect())),
    }
}

/// Reads a body as the older clients send it: whatever begins with `{` is JSON although its type says a form, or nothing at all,
/// and whatever else is a form.
///
/// # Errors
/// [`BodyError`] for anything that two readers could understand differently.
pub fn read_lenient(content_type: Option<&str>, bytes: &[u8]) -> Result<Body, BodyError> {
    let stated = content_type.and_then(encoding);
    if let (Some(Encoding::Multipart), Some(content_type)) = (stated, content_type) {
        return multipart(bytes, content_type);
    }
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let is_json = stated == Some(Encoding::Json) || start.is_empty() || start.starts_with(b"{");
    plain(if is_json { Encoding::Json } else { Encoding::Form }, bytes)
}

fn plain(encoding: Encoding, bytes: &[u8]) -> Result<Body, BodyError> {
    let fields = if encoding == Encoding::Json { json(bytes)? } else { form(bytes)? };
    Ok(Body { encoding, fields, files: Vec::new() })
}

fn encoding(content_type: &str) -> Option<Encoding> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => Some(Encoding::Form),
        "multipart/form-data" => Some(Encoding::Multipart),
        // Structured syntax suffixes are JSON too (RFC 6839, section 3.1).
        "application/json" | "text/json" => Some(Encoding::Json),
        kind if kind.starts_with("application/") && kind.ends_with("+json") => Some(Encoding::Json),
        _ => None,
    }
}

/// Reads a JSON object; an empty body has no fields.
///
/// # Errors
/// [`BodyError`] for anything that two readers could understand differently.
pub fn json(bytes: &[u8]) -> Result<Fields, BodyError> {
    let text = text(bytes)?;
    if text.trim_ascii().is_empty() {
        return Ok(Fields::new());
    }
    let depth = Cell::new(0);
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: &depth }.deserialize(&mut reader).map_err(BodyError::Json)?;
    reader.end().map_err(BodyError::Json)?;
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(BodyError::NotAnObject { found: kind(&other) }),
    }
}

/// Reads `application/x-www-form-urlencoded` (<https://url.spec.whatwg.org/#application/x-www-form-urlencoded>); every value is
/// a string, and `name[]` repeated is an array.
///
/// # Errors
/// [`BodyError`] when it is too long or has a name twice.
pub fn form(bytes: &[u8]) -> Result<Fields, BodyError> {
    let text = text(bytes)?;
    let mut fields = Fields::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let value = Value::String(value.into_owned());
        if let Some(name) = name.strip_suffix("[]") {
            match fields.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(values) => values.push(value),
                _ => return Err(BodyError::Twice(name.to_owned())),
            }
        } else if fields.insert(name.clone().into_owned(), value).is_some() {
            return Err(BodyError::Twice(name.into_owned()));
        }
    }
    Ok(fields)
}

fn text(bytes: &[u8]) -> Result<&str, BodyError> {
    if bytes.len() > MAX_LENGTH {
        return Err(BodyError::TooLong { found: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| BodyError::Encoding { valid_up_to: error.valid_up_to() })?;
    // Some clients of .NET and PowerShell send a byte order mark, which RFC 8259, section 8.1, lets a parser ignore.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// What a value is, for people.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value without a name twice and without deep nesting.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: &'a Cell<usize>,
}

impl Strict<'_> {
    fn nested<T, E: serde::de::Error>(self, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let depth = self.depth.get() + 1;
        if depth > MAX_DEPTH {
            return Err(E::custom(format_args!("more than {MAX_DEPTH} arrays and objects within each other")));
        }
        self.depth.set(depth);
        let value = read();
        self.depth.set(depth - 1);
        value
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.nested(|| {
            let mut values = Vec::new();
            while let Some(value) = access.next_element_seed(self)? {
                values.push(value);
            }
            Ok(Value::Array(values))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.nested(|| {
            let mut fields = Map::new();
            while let Some(name) = access.next_key::<String>()? {
                let value = access.next_value_seed(self)?;
                if fields.contains_key(&name) {
                    return Err(A::Error::custom(format_args!("the field `{name}` is there twice")));
                }
                fields.insert(name, value);
            }
            Ok(Value::Object(fields))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_readers_could_not_understand_a_body_differently() {
        let refused = |text: &str| json(text.as_bytes()).expect_err(text).to_string();
        assert!(refused(r#"{"seed": 1, "seed": 2}"#).contains("the field `seed` is there twice"));
        assert!(refused(r#"{"a": {"b": 1, "b": 1}}"#).contains("the field `b` is there twice"));
        assert!(refused(r#"{"a": 1} {"b": 2}"#).contains("trailing characters"));
        for text in [r#"{"a": NaN}"#, r#"{"a": 1e400}"#, r#"{"a": -Infinity}"#, r#"{"a": 01}"#, r#"{"a": "\ud800"}"#] {
            assert!(refused(text).contains("not usable JSON"), "{text}");
        }
        assert!(refused("[1]").contains("the body is an array, but must be an object"));
        assert!(refused("\"prompt\"").contains("the body is a string"));
    }

    #[test]
    fn the_type_decides_and_older_clients_need_none() {
        let read_as = |kind, bytes: &[u8]| read(kind, bytes).map(|body| body.encoding);
        let lenient = |kind, bytes: &[u8]| read_lenient(kind, bytes).map(|body| (body.encoding, body.fields.len()));
        let form = Some("Application/X-WWW-Form-Urlencoded; charset=utf-8");
        assert!(matches!(read_as(None, b"{}"), Ok(Encoding::Json)));
        assert!(matches!(read_as(Some("application/json; charset=utf-8"), b"{}"), Ok(Encoding::Json)));
        assert!(matches!(read_as(Some("application/merge-patch+json"), b"{}"), Ok(Encoding::Json)));
        assert!(matches!(read_as(form, b"a=1"), Ok(Encoding::Form)));
        assert!(matches!(read_as(Some("multipart/form-data; boundary=X"), b"--X--"), Ok(Encoding::Multipart)));
        assert!(
            matches!(read_as(Some("text/plain"), b"{}"), Err(BodyError::UnsupportedType(kind)) if kind == "text/plain")
        );
        assert!(matches!(read_as(Some("application/json"), b"a=1"), Err(BodyError::Json(_))));

        for kind in [None, Some(""), Some("text/plain"), form] {
            assert!(matches!(lenient(kind, b" {\"key\": \"k\"}"), Ok((Encoding::Json, 1))), "{kind:?}");
            assert!(matches!(lenient(kind, b"key=k&prompt=x"), Ok((Encoding::Form, 2))), "{kind:?}");
        }
        assert!(matches!(lenient(None, b""), Ok((Encoding::Json, 0))));
        assert!(matches!(lenient(Some("application/json"), b"key=k"), Err(BodyError::Json(_))));
        assert!(matches!(lenient(Some("multipart/form-data; boundary=X"), b"--X--"), Ok((Encoding::Multipart, 0))));
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let nested = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        let error = json(nested(MAX_DEPTH).as_bytes()).expect_err("one too many").to_string();
        assert!(error.contains("more than 64 arrays and objects"), "{error}");
        assert!(json(nested(100_000).as_bytes()).is_err());
        assert!(json("[".repeat(100_000).as_bytes()).is_err());
        let long = vec![b' '; MAX_LENGTH + 1];
        assert!(matches!(json(&long), Err(BodyError::TooLong { .. })));
        assert!(matches!(form(&long), Err(BodyError::TooLong { .. })));
    }

    #[test]
    fn what_real_clients_send_is_read() {
        assert!(json(b"").expect("nothing").is_empty());
        let fields =
            json("\u{feff}{\"key\": \"k\", \"width\": \"512\", \"x\": null, \"s\": 1.5}".as_bytes()).expect("JSON");
        assert_eq!(fields.len(), 4);
        assert!(matches!(json(&[b'{', 0xff]), Err(BodyError::Encoding { valid_up_to: 1 })));

        let fields = form(b"key=k&prompt=a+red%20apple&images[]=a&images[]=b&width=512").expect("a form");
        assert_eq!(fields["prompt"], "a red apple");
        assert_eq!(fields["images"], serde_json::json!(["a", "b"]));
        assert!(matches!(form(b"seed=1&seed=2"), Err(BodyError::Twice(name)) if name == "seed"));
        assert!(matches!(form(b"seed=1&seed[]=2"), Err(BodyError::Twice(name)) if name == "seed"));
    }
}
