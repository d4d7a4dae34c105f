use std::io;

use crate::{GgufError, SafetensorsError, ShardError};

/// Why a weight file could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be opened.
    #[cfg(not(target_arch = "wasm32"))]
    #[error("cannot open the weight file {path}")]
    Open {
        /// The file that was asked for.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The first bytes, which tell the format, could not be read.
    #[error("cannot read the first bytes of the weight file")]
    Sniff {
        /// What the platform said.
        source: io::Error,
    },
    /// The file is a pickled checkpoint.
    #[error(
        "this is a pickled checkpoint (.ckpt, .pt, .bin), a format that runs code of its author's when it is read, so \
         it is refused; convert it where you trust it: python -c \"import sys, torch, safetensors.torch as s; d = \
         torch.load(sys.argv[1], map_location='cpu', weights_only=True); d = d.get('state_dict', d); s.save_file({{k: \
         v.contiguous().clone() for k, v in d.items() if hasattr(v, 'shape')}}, sys.argv[2])\" model.ckpt \
         model.safetensors"
    )]
    Pickle,
    /// The file begins like none of the formats that are read.
    #[error(
        "the file is neither safetensors nor GGUF (it begins with the bytes {start}, and has {len}); a web page or a \
         Git LFS pointer saved in a model's place looks like this, so download the file itself"
    )]
    UnknownFormat {
        /// The first bytes, in hexadecimal.
        start: String,
        /// How many bytes the file has.
        len: u64,
    },
    /// The safetensors file is refused.
    #[error("not a valid safetensors file")]
    Safetensors(#[from] SafetensorsError),
    /// The GGUF file is refused, or one tensor of it is.
    #[error("not a GGUF file that can be read")]
    Gguf(#[from] GgufError),
    /// The index of a sharded model, or one of its shards, is refused.
    #[error("the shards do not make a model")]
    Shards(#[from] ShardError),
    /// A tensor cannot be given the name or shape that a view gives it.
    #[error("tensor {name} cannot be made from what the file has: {reason}")]
    View {
        /// The name in the view.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// The file lists no tensor of this name.
    #[error("the file has no tensor {name}; list what it has to see under which names its author saved")]
    UnknownTensor {
        /// The name that was asked for.
        name: String,
    },
    /// A tensor's bytes could not be read.
    #[error("cannot read tensor {name} at byte {offset}")]
    ReadTensor {
        /// The tensor's name.
        name: String,
        /// Where its bytes begin in the file.
        offset: u64,
        /// What the platform said.
        source: io::Error,
    },
    /// Elements were asked for that a tensor has not, or that begin or end within one of its blocks.
    #[error("tensor {name} has {count} elements, and its blocks do not begin and end where {first}..{end} do")]
    Elements {
        /// The tensor's name.
        name: String,
        /// The first element that was asked for.
        first: u64,
        /// The one behind the last.
        end: u64,
        /// How many it has.
        count: u64,
    },
    /// There is no memory for a tensor's bytes.
    #[error("tensor {name} takes {bytes} bytes, and there is no memory for them; use a smaller or a quantised model")]
    TensorMemory {
        /// The tensor's name.
        name: String,
        /// How many bytes it takes.
        bytes: u64,
    },
}
