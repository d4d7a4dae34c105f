use std::collections::BTreeMap;

use crate::{GgufError, GgufValue, ReadAt, gguf_cursor::Cursor, gguf_value::kind, tensor_name::shown};

/// How much memory the lists of the metadata may take together before they are passed over.
const LIST_BUDGET: u64 = 4 << 20;

/// Read `count` entries of metadata.
pub(crate) fn read_metadata<R: ReadAt + ?Sized>(
    cursor: &mut Cursor<'_, R>,
    count: u64,
) -> Result<BTreeMap<String, GgufValue>, GgufError> {
    // A key's length and one character, the type, the shortest value.
    cursor.need_items("the metadata", count, 8 + 1 + 4 + 1)?;
    let mut reader = MetadataReader { cursor, list_budget: LIST_BUDGET };
    let mut metadata = BTreeMap::new();
    for _ in 0..count {
        let at = reader.cursor.position();
        let key = reader.cursor.text("a metadata key")?;
        if key.is_empty() {
            return Err(GgufError::EmptyKey { at });
        }
        if metadata.contains_key(&key) {
            return Err(GgufError::DuplicateKey { key: shown(&key) });
        }
        let value = reader.value()?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}

struct MetadataReader<'c, 'a, R: ReadAt + ?Sized> {
    cursor: &'c mut Cursor<'a, R>,
    list_budget: u64,
}

const WHAT: &str = "a metadata value";

impl<R: ReadAt + ?Sized> MetadataReader<'_, '_, R> {
    fn value(&mut self) -> Result<GgufValue, GgufError> {
        let at = self.cursor.position();
        let cursor = &mut *self.cursor;
        Ok(match cursor.u32("a metadata type")? {
            kind::U8 => GgufValue::U32(u8::from_le_bytes(cursor.array(WHAT)?).into()),
            kind::I8 => GgufValue::I32(i8::from_le_bytes(cursor.array(WHAT)?).into()),
            kind::U16 => GgufValue::U32(u16::from_le_bytes(cursor.array(WHAT)?).into()),
            kind::I16 => GgufValue::I32(i16::from_le_bytes(cursor.array(WHAT)?).into()),
            kind::U32 => GgufValue::U32(cursor.u32(WHAT)?),
            kind::I32 => GgufValue::I32(i32::from_le_bytes(cursor.array(WHAT)?)),
            kind::U64 => GgufValue::U64(cursor.u64(WHAT)?),
            kind::I64 => GgufValue::I64(i64::from_le_bytes(cursor.array(WHAT)?)),
            kind::F32 => GgufValue::F32(f32::from_le_bytes(cursor.array(WHAT)?)),
            kind::F64 => GgufValue::F64(f64::from_le_bytes(cursor.array(WHAT)?)),
            kind::STRING => GgufValue::String(cursor.text("a metadata text")?),
            kind::ARRAY => self.list()?,
            kind::BOOL => {
                let at = cursor.position();
                match cursor.array(WHAT)? {
                    [0] => GgufValue::Bool(false),
                    [1] => GgufValue::Bool(true),
                    [found] => return Err(GgufError::Bool { at, found }),
                }
            }
            found => return Err(GgufError::ValueType { at, found }),
        })
    }

    fn list(&mut self) -> Result<GgufValue, GgufError> {
        let at = self.cursor.position();
        let element = self.cursor.u32("the type of a metadata list")?;
        let elements = self.cursor.u64("the length of a metadata list")?;
        let width = match element {
            kind::U8 | kind::I8 | kind::BOOL => 1,
            kind::U16 | kind::I16 => 2,
            kind::U32 | kind::F32 => 4,
            kind::U64 | kind::I64 | kind::F64 => 8,
            kind::I32 => return self.integers(elements),
            kind::STRING => return self.texts(elements),
            kind::ARRAY => return Err(GgufError::NestedArray { at }),
            found => return Err(GgufError::ValueType { at, found }),
        };
        self.cursor.skip("a metadata list", elements.saturating_mul(width))?;
        Ok(GgufValue::Skipped { elements })
    }

    fn integers(&mut self, elements: u64) -> Result<GgufValue, GgufError> {
        const WIDTH: u64 = size_of::<i32>() as u64;
        let what = "a metadata list of integers";
        self.cursor.need_items(what, elements, WIDTH)?;
        let cost = elements.saturating_mul(WIDTH);
        let Some(left) = self.list_budget.checked_sub(cost) else {
            self.cursor.skip(what, cost)?;
            return Ok(GgufValue::Skipped { elements });
        };
        self.list_budget = left;
        // One by one into the exact room, since collecting through `Result` would grow in doublings.
        let mut list = Vec::with_capacity(elements as usize);
        for _ in 0..elements {
            list.push(i32::from_le_bytes(self.cursor.array(what)?));
        }
        Ok(GgufValue::I32Array(list))
    }

    fn texts(&mut self, elements: u64) -> Result<GgufValue, GgufError> {
        let what = "a metadata list of texts";
        self.cursor.need_items(what, elements, size_of::<u64>() as u64)?;
        let handles = elements.saturating_mul(size_of::<String>() as u64);
        let mut kept = match self.list_budget.checked_sub(handles) {
            Some(left) => {
                self.list_budget = left;
                Some(Vec::with_capacity(elements as usize))
            }
            None => None,
        };
        for _ in 0..elements {
            let len = self.cursor.u64(what)?;
            if let (Some(texts), Some(left)) = (kept.as_mut(), self.list_budget.checked_sub(len)) {
                self.list_budget = left;
                texts.push(self.cursor.text_of(what, len)?);
            } else {
                kept = None;
                self.cursor.skip(what, len)?;
            }
        }
        Ok(kept.map_or(GgufValue::Skipped { elements }, GgufValue::StringArray))
    }
}
