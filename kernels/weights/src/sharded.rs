use std::{collections::BTreeMap, io, ops::Range};

use crate::{
    RawTensor, ReadAt, SafetensorsError, SafetensorsFile, TensorInfo, TensorSource, WeightsError,
    header_json::ShardIndex,
    safetensors_header::MAX_HEADER_LEN,
    tensor_name::{is_file_name, shown},
};

/// Most files that one index may name.
const MAX_SHARDS: usize = 256;

/// Why shards do not make a model.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The index could not be read.
    #[error("cannot read the shard index")]
    ReadIndex {
        /// What the platform said.
        source: io::Error,
    },
    /// The index is longer than is accepted.
    #[error("the shard index has {found} bytes where {limit} are allowed")]
    IndexLength {
        /// How long it is.
        found: u64,
        /// The longest that is accepted.
        limit: u64,
    },
    /// The index is not the JSON of a shard index.
    #[error("the shard index is not valid")]
    Index {
        /// What is wrong, with line and column in the index.
        source: serde_json::Error,
    },
    /// The index names more files than are accepted.
    #[error("the shard index names {found} files where {limit} are allowed")]
    TooManyShards {
        /// How many it names.
        found: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// The index names a file elsewhere than beside it, or one of another kind.
    #[error("the shard index names \"{file}\", which is not the plain name of a .safetensors file")]
    FileName {
        /// The name, escaped and cut.
        file: String,
    },
    /// A shard could not be opened.
    #[error("cannot open the shard {file}; all files that the index names must lie beside it")]
    Open {
        /// The shard.
        file: String,
        /// What the platform said.
        source: io::Error,
    },
    /// A shard is not a valid safetensors file.
    #[error("the shard {file} is not a valid safetensors file")]
    Shard {
        /// The shard.
        file: String,
        /// The rule it breaks.
        source: SafetensorsError,
    },
    /// A shard lacks a tensor that the index promises.
    #[error("the shard {file} lacks the tensor {tensor} that the index promises; the files are of different models")]
    MissingTensor {
        /// The shard.
        file: String,
        /// The tensor.
        tensor: String,
    },
}

/// Several safetensors files behind one index, read as if they were one.
///
/// The index is the `*.safetensors.index.json` of Hugging Face repositories: its `weight_map` says for each tensor
/// which file has it. Tensors of a shard that the index does not mention are left out. The offset in a
/// [`TensorInfo`] counts within the tensor's own shard.
#[derive(Debug)]
pub struct ShardedSafetensors<R = Box<dyn ReadAt>> {
    shards: Vec<SafetensorsFile<R>>,
    /// Sorted by name.
    tensors: Vec<TensorInfo>,
    /// For each of `tensors` the index of its shard.
    homes: Vec<usize>,
}

impl<R: ReadAt> ShardedSafetensors<R> {
    /// Open all shards that the `index` names through `open_shard`, which is given plain file names.
    ///
    /// # Errors
    ///
    /// A [`ShardError`] that names the index's fault, or the shard and its fault.
    pub fn open<I: ReadAt + ?Sized>(
        index: &I,
        mut open_shard: impl FnMut(&str) -> io::Result<R>,
    ) -> Result<Self, ShardError> {
        let weight_map = read_index(index)?;
        let mut shards = Vec::new();
        let mut numbers = BTreeMap::new();
        let mut files: Vec<&str> = weight_map.values().map(String::as_str).collect();
        files.sort_unstable();
        files.dedup();
        if files.len() > MAX_SHARDS {
            return Err(ShardError::TooManyShards { found: files.len(), limit: MAX_SHARDS });
        }
        for file in files {
            if !is_file_name(file) || !file.ends_with(".safetensors") {
                return Err(ShardError::FileName { file: shown(file) });
            }
            let reader = open_shard(file).map_err(|source| ShardError::Open { file: file.to_owned(), source })?;
            let shard =
                SafetensorsFile::open(reader).map_err(|source| ShardError::Shard { file: file.to_owned(), source })?;
            numbers.insert(file, shards.len());
            shards.push(shard);
        }
        let mut tensors = Vec::with_capacity(weight_map.len());
        let mut homes = Vec::with_capacity(weight_map.len());
        for (tensor, file) in &weight_map {
            let home = numbers.get(file.as_str()).copied();
            let found = home.and_then(|home| Some((home, shards.get(home)?.info(tensor)?.clone())));
            let Some((home, info)) = found else {
                return Err(ShardError::MissingTensor { file: file.clone(), tensor: shown(tensor) });
            };
            tensors.push(info);
            homes.push(home);
        }
        Ok(Self { shards, tensors, homes })
    }

    fn shard(&self, name: &str) -> Result<&SafetensorsFile<R>, WeightsError> {
        let index = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok();
        let shard = index.and_then(|index| self.shards.get(*self.homes.get(index)?));
        shard.ok_or_else(|| WeightsError::UnknownTensor { name: shown(name) })
    }
}

fn read_index<I: ReadAt + ?Sized>(index: &I) -> Result<BTreeMap<String, String>, ShardError> {
    let found = index.len();
    if found > MAX_HEADER_LEN {
        return Err(ShardError::IndexLength { found, limit: MAX_HEADER_LEN });
    }
    let mut text = vec![0; found as usize];
    index.read_exact_at(0, &mut text).map_err(|source| ShardError::ReadIndex { source })?;
    let ShardIndex { weight_map } = serde_json::from_slice(&text).map_err(|source| ShardError::Index { source })?;
    Ok(weight_map)
}

impl<R: ReadAt> TensorSource for ShardedSafetensors<R> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        self.shard(name)?.read(name)
    }

    fn read_range(&self, name: &str, elements: Range<u64>) -> Result<Vec<u8>, WeightsError> {
        self.shard(name)?.read_range(name, elements)
    }

    fn mapped(&self, name: &str) -> Option<&[u8]> {
        let index = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok()?;
        self.shards.get(*self.homes.get(index)?)?.mapped(name)
    }

    fn release(&self, name: &str) {
        self.shards.iter().for_each(|shard| shard.release(name));
    }

    /// The first shard's word counts, in the order of their file names.
    fn metadata(&self, key: &str) -> Option<&str> {
        self.shards.iter().find_map(|shard| shard.metadata(key))
    }
}
