//! A model's tensors with what adapters add to some of them as they are read.

use super::{delta::Delta, replaced::next_version};
use std::{collections::BTreeMap, rc::Rc};
use thiserror::Error;
use weights::{Dtype, QuantiseError, RawTensor, TensorInfo, TensorSource, WeightsError, quantise};

/// A tensor that cannot take what is added to it.
#[derive(Debug, Error)]
#[error("`{tensor}` cannot be stored as {dtype} with the adapters added; give them less weight")]
pub struct MergeError {
    /// Which tensor.
    pub tensor: String,
    /// Its kind.
    pub dtype: Dtype,
    /// What is wrong with the sum.
    #[source]
    pub source: QuantiseError,
}

/// The kind in which changed values are stored: their own, or half precision where there is no way back into it.
pub(super) fn storable(dtype: Dtype) -> Dtype {
    if quantise(&vec![0.0; dtype.block_len()], dtype).is_ok() { dtype } else { Dtype::F16 }
}

fn kind(dtype: Dtype, keeps_halves: bool) -> Dtype {
    match dtype {
        Dtype::F16 | Dtype::BF16 if !keeps_halves => Dtype::F32,
        other => storable(other),
    }
}

/// The base with something added.
pub(super) struct Merged {
    base: Rc<dyn TensorSource>,
    tensors: Vec<TensorInfo>,
    deltas: BTreeMap<String, Vec<Delta>>,
    keeps_halves: bool,
    version: u64,
}

impl Merged {
    /// `deltas` by the base's names of tensors.
    pub(super) fn new(base: Rc<dyn TensorSource>, deltas: BTreeMap<String, Vec<Delta>>, keeps_halves: bool) -> Self {
        let tensors = base.tensors().iter().map(|info| {
            let dtype = if deltas.contains_key(&info.name) { kind(info.dtype, keeps_halves) } else { info.dtype };
            let bytes = dtype.byte_len(info.elements()).unwrap_or(info.bytes);
            TensorInfo { dtype, bytes, ..info.clone() }
        });
        Self { tensors: tensors.collect(), base, deltas, keeps_halves, version: next_version() }
    }
}

impl TensorSource for Merged {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        let raw = self.base.read(name)?;
        let Some(deltas) = self.deltas.get(name) else { return Ok(raw) };
        let RawTensor { dtype, shape, bytes } = raw;
        let mut values = weights::dequantise(dtype, &bytes);
        drop(bytes);
        // What one of several asks of the weight is what that was without the others.
        let base = (deltas.len() > 1 && deltas.iter().any(Delta::asks_base)).then(|| values.clone());
        for delta in deltas {
            delta.add_to(&mut values, base.as_deref(), shape.first().copied().unwrap_or(1))?;
        }
        let dtype = kind(dtype, self.keeps_halves);
        let bytes = quantise(&values, dtype).map_err(|source| {
            let error = MergeError { tensor: name.to_owned(), dtype, source };
            WeightsError::ReadTensor { name: name.to_owned(), offset: 0, source: std::io::Error::other(error) }
        })?;
        Ok(RawTensor { dtype, shape, bytes })
    }

    fn version(&self, name: &str) -> u64 {
        if self.deltas.contains_key(name) { self.version } else { self.base.version(name) }
    }

    fn mapped(&self, name: &str) -> Option<&[u8]> {
        if self.deltas.contains_key(name) { None } else { self.base.mapped(name) }
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
    use super::{
        super::delta::{Change, Pair},
        *,
    };
    use std::cell::Cell;
    use weights::{SafetensorsFile, TensorView, write_safetensors};

    fn file(tensors: &[(&str, Dtype, &[usize], &[f32])]) -> Rc<dyn TensorSource> {
        let bodies: Vec<Vec<u8>> =
            tensors.iter().map(|(_, dtype, _, values)| quantise(values, *dtype).unwrap()).collect();
        let views = tensors.iter().zip(&bodies).map(|((name, dtype, shape, _), bytes)| TensorView {
            name,
            dtype: *dtype,
            shape,
            bytes,
        });
        let mut file = Vec::new();
        write_safetensors(&mut file, views, &BTreeMap::new()).unwrap();
        Rc::new(SafetensorsFile::open(file).unwrap())
    }

    /// One tensor of a kind that safetensors has no word for, and how often it was read.
    struct One {
        info: Vec<TensorInfo>,
        bytes: Vec<u8>,
        reads: Cell<usize>,
    }

    impl One {
        fn new(dtype: Dtype, shape: &[usize], values: &[f32]) -> Rc<Self> {
            let bytes = quantise(values, dtype).unwrap();
            let info =
                TensorInfo { name: "w".to_owned(), dtype, shape: shape.to_vec(), offset: 0, bytes: bytes.len() as u64 };
            Rc::new(Self { info: vec![info], bytes, reads: Cell::new(0) })
        }
    }

    impl TensorSource for One {
        fn tensors(&self) -> &[TensorInfo] {
            &self.info
        }

        fn read(&self, _name: &str) -> Result<RawTensor, WeightsError> {
            self.reads.set(self.reads.get() + 1);
            let TensorInfo { dtype, ref shape, .. } = self.info[0];
            Ok(RawTensor { dtype, shape: shape.clone(), bytes: self.bytes.clone() })
        }

        fn metadata(&self, _key: &str) -> Option<&str> {
            None
        }
    }

    /// `scale * up * down` of a file.
    fn plain(source: &Rc<dyn TensorSource>, rank: usize, scale: f32) -> Delta {
        let (up, down) = ("up".to_owned(), "down".to_owned());
        let change = Change::Product(Pair { up, down, mid: None, rank, is_transposed: false });
        Delta { source: source.clone(), change, kernel: 1, scale, lengths: None, share: 1.0 }
    }

    fn wave(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|index| (index as f32 * step).sin()).collect()
    }

    #[test]
    fn every_kind_is_read_once_and_stored_again_as_it_was() {
        let (rows, columns, rank) = (4, 64, 2);
        let (up, down) = (wave(rows * rank, 0.7), wave(rank * columns, 0.3));
        let lora = file(&[("up", Dtype::F32, &[rows, rank], &up), ("down", Dtype::F32, &[rank, columns], &down)]);
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::Q8_0, Dtype::Q4_0] {
            let base = One::new(dtype, &[rows, columns], &wave(rows * columns, 0.11));
            let delta = || plain(&lora, rank, 0.5);
            let before = base.read("w").unwrap();
            let merged = Merged::new(base.clone(), BTreeMap::from([("w".to_owned(), vec![delta(), delta()])]), true);
            assert_eq!(merged.tensors(), base.tensors());
            assert_eq!(base.reads.get(), 1, "nothing is read before it is asked for");
            let expected: Vec<f32> = before
                .to_f32()
                .into_iter()
                .enumerate()
                .map(|(at, value)| {
                    let (row, column) = (at / columns, at % columns);
                    let product = |r: usize| up[row * rank + r] * 0.5 * down[r * columns + column];
                    (0..2).fold(value, |sum, _| (0..rank).fold(sum, |sum, r| sum + product(r)))
                })
                .collect();
            assert_eq!(merged.read("w").unwrap().bytes, quantise(&expected, dtype).unwrap(), "{dtype}");
            assert_eq!(base.read("w").unwrap(), before, "the base is what it was");
        }
    }

    #[test]
    fn a_sum_that_its_kind_cannot_hold_is_an_error_and_not_an_infinity() {
        let lora = file(&[("up", Dtype::F32, &[1, 1], &[6e4]), ("down", Dtype::F32, &[1, 1], &[2.0])]);
        let delta = plain(&lora, 1, 1.0);
        let base = One::new(Dtype::F16, &[1, 1], &[1.0]);
        let error = Merged::new(base, BTreeMap::from([("w".to_owned(), vec![delta])]), true).read("w").unwrap_err();
        assert!(format!("{:?}", chain(&error)).contains("less weight"), "{error:?}");
    }

    fn chain(error: &dyn std::error::Error) -> Vec<String> {
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
    }
}
