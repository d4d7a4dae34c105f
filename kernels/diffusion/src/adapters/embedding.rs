//! Learned words (textual inversion; Gal et al., 2022).

use super::{listed, merged::storable, replaced::next_version};
use crate::pipeline::{AddedToken, Component, ModelFiles};
use serde_json::Value;
use std::{collections::BTreeSet, rc::Rc};
use thiserror::Error;
use weights::{Dtype, RawTensor, TensorInfo, TensorSource, WeightsError, dequantise, quantise};

/// Longest header and longest file that are read.
const MAX_HEADER: usize = 1 << 20;
/// Most vectors of one word; a context has 77.
const MAX_TOKENS: usize = 75;
/// The end of the table's name.
const TABLE: &str = "embeddings.token_embedding.weight";
/// What the two encoders' tensors are called in files for Stable Diffusion XL.
const FIRST: [&str; 2] = ["clip_l", "text_encoders_0"];
const SECOND: [&str; 2] = ["clip_g", "text_encoders_1"];

/// An embedding that cannot be used.
#[derive(Debug, Error)]
pub enum EmbeddingError {
    /// The file is a pickle.
    #[error("the embedding `{0}` is a pickle, which runs code when it is read; convert it to safetensors")]
    Pickle(String),
    /// The file is no embedding.
    #[error("`{name}` is no embedding: {why}")]
    NotEmbedding {
        /// Which one.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is for other text encoders.
    #[error(
        "the embedding `{name}` has vectors of {found:?}, and this model's text encoders take {expected:?}; it was made for another family"
    )]
    Width {
        /// Which one.
        name: String,
        /// Widths that it has.
        found: Vec<usize>,
        /// Widths that the model has.
        expected: Vec<usize>,
    },
    /// Two have one name.
    #[error("two embeddings are called `{0}`; give one of them another name")]
    Twice(String),
    /// There is no table to put it into.
    #[error("the text encoder has no `{TABLE}`")]
    NoTable,
}

/// Vectors of one text encoder.
#[derive(Debug, Clone)]
struct Vectors {
    width: usize,
    values: Vec<f32>,
}

/// A word that stands for some vectors.
#[derive(Debug, Clone)]
pub struct Embedding {
    word: String,
    /// One for each text encoder.
    encoders: Vec<Vectors>,
}

impl Embedding {
    /// Reads a safetensors file: `emb_params`, one tensor under the word itself, or `clip_l` and `clip_g`.
    ///
    /// `word` is what stands for it in prompts; without one the file's own is taken, or `name`.
    ///
    /// # Errors
    /// [`EmbeddingError`] saying what is wrong with the file.
    pub fn read(name: &str, word: Option<&str>, file: &[u8]) -> Result<Self, EmbeddingError> {
        let no = |why: String| EmbeddingError::NotEmbedding { name: name.to_owned(), why };
        if file.starts_with(b"PK\x03\x04") || matches!(file, [0x80, 2..=5, ..]) {
            return Err(EmbeddingError::Pickle(name.to_owned()));
        }
        let tensors = tensors(file).map_err(|why| no(why.to_owned()))?;
        let find = |names: &[&str]| tensors.iter().find(|(key, _)| names.contains(&key.as_str()));
        let (own, encoders) = match (find(&FIRST), find(&SECOND), tensors.as_slice()) {
            (Some((_, first)), Some((_, second)), _) => (None, vec![first.clone(), second.clone()]),
            (None, None, [(key, only)]) => {
                // `emb_params` is A1111's; other names are the word itself, as diffusers writes it.
                let is_word = !["emb_params", "string_to_param.*", "*"].contains(&key.as_str());
                (is_word.then(|| key.clone()), vec![only.clone()])
            }
            _ => {
                let keys: BTreeSet<String> = tensors.iter().map(|(key, _)| key.clone()).collect();
                return Err(no(format!(
                    "it has the tensors {}; one, or clip_l and clip_g, are expected",
                    listed(&keys)
                )));
            }
        };
        let counts: Vec<usize> = encoders.iter().map(|vectors| vectors.values.len() / vectors.width).collect();
        if counts.windows(2).any(|pair| pair[0] != pair[1]) || counts[0] == 0 || counts[0] > MAX_TOKENS {
            return Err(no(format!("it has {counts:?} vectors; 1 to {MAX_TOKENS} fit, as many for each text encoder")));
        }
        let word = word.map(str::to_owned).or(own).unwrap_or_else(|| name.to_owned());
        if word.trim().is_empty() {
            return Err(no("it has no name".to_owned()));
        }
        Ok(Self { word, encoders })
    }

    /// What stands for it in prompts.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// How many tokens it takes.
    pub fn count(&self) -> usize {
        self.encoders.first().map_or(0, |vectors| vectors.values.len() / vectors.width)
    }
}

/// The matrices of a small file, whose names may be anything: words, with angles around them.
fn tensors(file: &[u8]) -> Result<Vec<(String, Vectors)>, &'static str> {
    let damaged = "the file is not whole, or no safetensors";
    let (length, rest) = file.split_first_chunk::<8>().ok_or(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|&length| length <= MAX_HEADER);
    let (header, body) = rest.split_at_checked(length.ok_or(damaged)?).ok_or(damaged)?;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(header).map_err(|_| damaged)?;
    let tensors = header.into_iter().filter(|(key, _)| key != "__metadata__").map(|(key, info)| {
        let dtype: Dtype =
            serde_json::from_value(info["dtype"].clone()).map_err(|_| "its numbers are of an unknown kind")?;
        let shape: Vec<usize> = serde_json::from_value(info["shape"].clone()).map_err(|_| damaged)?;
        let [begin, end]: [usize; 2] = serde_json::from_value(info["data_offsets"].clone()).map_err(|_| damaged)?;
        let bytes = body.get(begin..end).ok_or(damaged)?;
        let (count, width) = match shape[..] {
            [width] => (1, width),
            [count, width] => (count, width),
            _ => return Err("its tensor is neither a vector nor a list of vectors"),
        };
        let elements = count.checked_mul(width).ok_or(damaged)?;
        if elements == 0 || dtype.byte_len(elements as u64) != Some(bytes.len() as u64) {
            return Err(damaged);
        }
        let values = dequantise(dtype, bytes);
        if values.iter().any(|value| !value.is_finite()) {
            return Err("it has values that are no numbers");
        }
        Ok((key, Vectors { width, values }))
    });
    tensors.collect()
}

/// Lays words over the tables of the text encoders.
pub(super) fn lay_over(files: &mut ModelFiles, embeddings: &[Embedding]) -> Result<(), EmbeddingError> {
    let mut seen = BTreeSet::new();
    for embedding in embeddings {
        if !seen.insert(embedding.word.as_str()) {
            return Err(EmbeddingError::Twice(embedding.word.clone()));
        }
        files.added_tokens.push(AddedToken { word: embedding.word.clone(), count: embedding.count() });
    }
    if embeddings.is_empty() {
        return Ok(());
    }
    let mut parts = vec![&mut files.text_encoder];
    parts.extend(files.text_encoder_2.as_mut().map(|second| &mut second.component));
    let tables: Vec<TensorInfo> =
        parts.iter().map(|part| table(part).cloned().ok_or(EmbeddingError::NoTable)).collect::<Result<_, _>>()?;
    let expected: Vec<usize> = tables.iter().filter_map(|info| info.shape.get(1).copied()).collect();
    for Embedding { word, encoders } in embeddings {
        let found: Vec<usize> = encoders.iter().map(|vectors| vectors.width).collect();
        if found != expected {
            return Err(EmbeddingError::Width { name: word.clone(), found, expected });
        }
    }
    for (index, (part, table)) in parts.into_iter().zip(tables).enumerate() {
        let rows = embeddings.iter().flat_map(|embedding| embedding.encoders[index].values.iter().copied());
        part.source = Rc::new(Grown::new(part.source.clone(), &table.name, rows.collect()));
    }
    Ok(())
}

fn table(part: &Component) -> Option<&TensorInfo> {
    let prefix = if part.prefix.is_empty() { String::new() } else { format!("{}.", part.prefix) };
    let is_table = |name: &str| name.strip_prefix(&prefix).is_some_and(|name| name.ends_with(TABLE));
    part.source.tensors().iter().find(|info| info.shape.len() == 2 && is_table(&info.name))
}

/// The base with more rows in one table.
struct Grown {
    base: Rc<dyn TensorSource>,
    tensors: Vec<TensorInfo>,
    table: String,
    rows: Vec<f32>,
    version: u64,
}

impl Grown {
    fn new(base: Rc<dyn TensorSource>, table: &str, rows: Vec<f32>) -> Self {
        let tensors = base.tensors().iter().map(|info| {
            if info.name != table {
                return info.clone();
            }
            let [entries, width] = info.shape[..] else { return info.clone() };
            // A row that ends within a block leaves no place for another in its kind.
            let own = storable(info.dtype);
            let dtype = if width.is_multiple_of(own.block_len()) { own } else { Dtype::F16 };
            let shape = vec![entries + rows.len() / width, width];
            let bytes = dtype.byte_len((shape[0] * width) as u64).unwrap_or(info.bytes);
            TensorInfo { dtype, shape, bytes, ..info.clone() }
        });
        Self { tensors: tensors.collect(), base, table: table.to_owned(), rows, version: next_version() }
    }
}

impl TensorSource for Grown {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        let raw = self.base.read(name)?;
        if name != self.table {
            return Ok(raw);
        }
        let Some(TensorInfo { dtype, shape, .. }) = self.info(name).cloned() else { return Ok(raw) };
        let failed = |source| WeightsError::ReadTensor {
            name: name.to_owned(),
            offset: 0,
            source: std::io::Error::other(source),
        };
        let mut bytes = raw.bytes;
        if raw.dtype != dtype {
            bytes = quantise(&dequantise(raw.dtype, &bytes), dtype).map_err(failed)?;
        }
        bytes.extend(quantise(&self.rows, dtype).map_err(failed)?);
        Ok(RawTensor { dtype, shape, bytes })
    }

    fn version(&self, name: &str) -> u64 {
        if name == self.table { self.version } else { self.base.version(name) }
    }

    fn mapped(&self, name: &str) -> Option<&[u8]> {
        if name == self.table { None } else { self.base.mapped(name) }
    }

    fn release(&self, name: &str) {
        self.base.release(name);
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.base.metadata(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tensors: &[(&str, &[usize])]) -> Vec<u8> {
        let (mut header, mut body) = (serde_json::Map::new(), Vec::new());
        for (name, shape) in tensors {
            let begin = body.len();
            (0..shape.iter().product()).for_each(|index: usize| body.extend((index as f32).to_le_bytes()));
            let info = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, body.len()] });
            header.insert((*name).to_owned(), info);
        }
        let header = serde_json::to_vec(&header).unwrap();
        [&(header.len() as u64).to_le_bytes()[..], &header, &body].concat()
    }

    #[test]
    fn every_form_is_read_and_named() {
        let read = |word, tensors: &[_]| Embedding::read("stem", word, &file(tensors)).unwrap();
        let old = read(None, &[("emb_params", &[3, 4])]);
        assert_eq!((old.word(), old.count()), ("stem", 3));
        let named = read(None, &[("<cat-toy>", &[4])]);
        assert_eq!((named.word(), named.count()), ("<cat-toy>", 1));
        assert_eq!(read(Some("dog"), &[("<cat-toy>", &[4])]).word(), "dog");
        let two = read(None, &[("clip_g", &[2, 8]), ("clip_l", &[2, 4])]);
        assert_eq!((two.encoders[0].width, two.encoders[1].width, two.count()), (4, 8, 2));
    }

    #[test]
    fn what_is_no_embedding_is_refused_with_a_sentence() {
        let refused = |bytes: &[u8]| Embedding::read("x", None, bytes).unwrap_err().to_string();
        assert!(refused(b"PK\x03\x04....").contains("pickle"));
        assert!(refused(b"").contains("not whole"));
        assert!(refused(&u64::MAX.to_le_bytes()).contains("not whole"));
        assert!(refused(&file(&[("a", &[1, 4]), ("b", &[1, 4])])).contains("a, b"));
        assert!(refused(&file(&[("a", &[80, 4])])).contains("80"));
        assert!(refused(&file(&[("a", &[1, 2, 4])])).contains("neither"));
        assert!(refused(&file(&[("clip_g", &[2, 8]), ("clip_l", &[1, 4])])).contains("as many"));
        let whole = file(&[("a", &[2, 4])]);
        assert!(refused(&whole[..whole.len() - 1]).contains("not whole"));
    }
}
