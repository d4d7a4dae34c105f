//! The JSON of safetensors headers and shard indices, read within bounds.
//!
//! Derived readers would hold lists of any length, take lists for objects, and quote a text that stands in the wrong
//! place in full, which in a hostile header is a text of megabytes.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};

use crate::{
    safetensors_header::{MAX_METADATA, MAX_RANK, MAX_TENSORS, METADATA_KEY},
    tensor_name::shown,
};

/// A reader of `$type` through the visitor's `$method`; it names but never quotes what it did not expect.
macro_rules! bounded {
    ($type:ty, $expected:literal, $($method:tt)*) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct BoundedVisitor;

                impl<'de> Visitor<'de> for BoundedVisitor {
                    type Value = $type;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str($expected)
                    }

                    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
                        Err(E::invalid_type(Unexpected::Other("text"), &self))
                    }

                    $($method)*
                }

                // A hint of what is expected would let serde_json compose the error, which quotes texts in full.
                deserializer.deserialize_any(BoundedVisitor)
            }
        }
    };
}

/// All that a safetensors header states, in its order.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) tensors: Vec<(String, Entry)>,
    pub(crate) metadata: BTreeMap<String, String>,
}

bounded! {
    Listing, "an object of tensors",
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Listing, A::Error> {
        let mut tensors = Vec::new();
        let mut metadata = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA_KEY {
                if metadata.is_some() {
                    return Err(A::Error::custom("__metadata__ is there twice"));
                }
                metadata = Some(map.next_value::<Texts>()?.0);
            } else if tensors.len() == MAX_TENSORS {
                return Err(A::Error::custom(format_args!("more than {MAX_TENSORS} tensors")));
            } else {
                tensors.push((name, map.next_value()?));
            }
        }
        Ok(Listing { tensors, metadata: metadata.unwrap_or_default() })
    }
}

/// A tensor as the header states it.
pub(crate) struct Entry {
    pub(crate) dtype: String,
    pub(crate) shape: Shape,
    pub(crate) data_offsets: Offsets,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum EntryField {
    Dtype,
    Shape,
    DataOffsets,
    #[serde(other)]
    Other,
}

bounded! {
    Entry, "an object that describes a tensor",
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let (mut dtype, mut shape, mut data_offsets) = (None, None, None);
        while let Some(field) = map.next_key()? {
            match field {
                EntryField::Dtype => once(&mut dtype, "dtype", map.next_value()?)?,
                EntryField::Shape => once(&mut shape, "shape", map.next_value()?)?,
                EntryField::DataOffsets => once(&mut data_offsets, "data_offsets", map.next_value()?)?,
                EntryField::Other => return Err(A::Error::custom("a tensor has a field of unknown name")),
            }
        }
        Ok(Entry {
            dtype: dtype.ok_or_else(|| A::Error::missing_field("dtype"))?,
            shape: shape.ok_or_else(|| A::Error::missing_field("shape"))?,
            data_offsets: data_offsets.ok_or_else(|| A::Error::missing_field("data_offsets"))?,
        })
    }
}

fn once<T, E: Error>(slot: &mut Option<T>, field: &'static str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(field)),
    }
}

/// The first dimensions and the count of all, so that a list of millions takes no more room than a list of eight.
#[derive(Default)]
pub(crate) struct Shape {
    first: [u64; MAX_RANK],
    pub(crate) rank: usize,
}

impl Shape {
    /// The dimensions, up to the most that are accepted.
    pub(crate) fn dims(&self) -> &[u64] {
        &self.first[..self.rank.min(MAX_RANK)]
    }
}

bounded! {
    Shape, "a list of dimensions",
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::default();
        while let Some(Number(dim)) = list.next_element()? {
            if let Some(slot) = shape.first.get_mut(shape.rank) {
                *slot = dim;
            }
            shape.rank += 1;
        }
        Ok(shape)
    }
}

/// A tensor's first byte and the one behind its last.
pub(crate) struct Offsets {
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

bounded! {
    Offsets, "two offsets",
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Offsets, A::Error> {
        match (list.next_element()?, list.next_element()?, list.next_element::<IgnoredAny>()?) {
            (Some(Number(begin)), Some(Number(end)), None) => Ok(Offsets { begin, end }),
            _ => Err(A::Error::custom("a tensor does not have two offsets")),
        }
    }
}

struct Number(u64);

bounded! {
    Number, "a whole number of 64 bits",
    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number))
    }
}

/// An object of texts, no key twice.
#[derive(Default)]
struct Texts(BTreeMap<String, String>);

bounded! {
    Texts, "an object of texts",
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((key, text)) = map.next_entry::<String, String>()? {
            if texts.len() == MAX_METADATA {
                return Err(A::Error::custom(format_args!("more than {MAX_METADATA} entries")));
            }
            if texts.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key \"{}\" is there twice", shown(&key))));
            }
            texts.insert(key, text);
        }
        Ok(Texts(texts))
    }
}

/// For each tensor of a sharded model the file that has it.
pub(crate) struct ShardIndex {
    pub(crate) weight_map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum IndexField {
    WeightMap,
    #[serde(other)]
    Other,
}

bounded! {
    ShardIndex, "an object with a weight_map",
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ShardIndex, A::Error> {
        let mut weight_map = None;
        while let Some(field) = map.next_key()? {
            match field {
                IndexField::WeightMap => once(&mut weight_map, "weight_map", map.next_value::<Texts>()?.0)?,
                IndexField::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let weight_map = weight_map.ok_or_else(|| A::Error::missing_field("weight_map"))?;
        Ok(ShardIndex { weight_map })
    }
}
