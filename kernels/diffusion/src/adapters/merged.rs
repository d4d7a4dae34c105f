//! A model's tensors with products of low rank added to some of them as they are read.

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

/// `scale * up * down`, whose matrices are in a file of their own.
pub(super) struct Delta {
    pub(super) source: Rc<dyn TensorSource>,
    pub(super) down: String,
    pub(super) up: String,
    pub(super) mid: Option<String>,
    pub(super) rank: usize,
    /// Elements of a convolution's kernel.
    pub(super) kernel: usize,
    pub(super) scale: f32,
}

impl Delta {
    /// Adds it to a matrix, row by row, so that it is never there as a whole.
    fn add_to(&self, values: &mut [f32], rows: usize) -> Result<(), WeightsError> {
        let up = self.source.read(&self.up)?.to_f32();
        let mut down = self.source.read(&self.down)?.to_f32();
        let columns = values.len() / rows.max(1);
        if let Some(mid) = &self.mid {
            down = self.through(&self.source.read(mid)?.to_f32(), &down, columns);
        }
        for (row, factors) in values.chunks_exact_mut(columns).zip(up.chunks_exact(self.rank)) {
            for (&factor, from) in factors.iter().zip(down.chunks_exact(columns)) {
                let factor = factor * self.scale;
                row.iter_mut().zip(from).for_each(|(value, from)| *value += factor * from);
            }
        }
        Ok(())
    }

    /// The kernel between both matrices: `[rank, from, kernel]` after `[from, inputs]`, as `[rank, inputs, kernel]`.
    fn through(&self, mid: &[f32], down: &[f32], columns: usize) -> Vec<f32> {
        let inputs = columns / self.kernel;
        let from = down.len() / inputs;
        let mut product = vec![0.0; self.rank * columns];
        for (rank, out) in product.chunks_exact_mut(columns).enumerate() {
            for (inner, row) in down.chunks_exact(inputs).enumerate() {
                let kernel = &mid[(rank * from + inner) * self.kernel..][..self.kernel];
                for (&value, out) in row.iter().zip(out.chunks_exact_mut(self.kernel)) {
                    out.iter_mut().zip(kernel).for_each(|(out, kernel)| *out += value * kernel);
                }
            }
        }
        product
    }
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
}

impl Merged {
    /// `deltas` by the base's names of tensors.
    pub(super) fn new(base: Rc<dyn TensorSource>, deltas: BTreeMap<String, Vec<Delta>>, keeps_halves: bool) -> Self {
        let tensors = base.tensors().iter().map(|info| {
            let dtype = if deltas.contains_key(&info.name) { kind(info.dtype, keeps_halves) } else { info.dtype };
            let bytes = dtype.byte_len(info.elements()).unwrap_or(info.bytes);
            TensorInfo { dtype, bytes, ..info.clone() }
        });
        Self { tensors: tensors.collect(), base, deltas, keeps_halves }
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
        for delta in deltas {
            delta.add_to(&mut values, shape.first().copied().unwrap_or(1))?;
        }
        let dtype = kind(dtype, self.keeps_halves);
        let bytes = quantise(&values, dtype).map_err(|source| {
            let error = MergeError { tensor: name.to_owned(), dtype, source };
            WeightsError::ReadTensor { name: name.to_owned(), offset: 0, source: std::io::Error::other(error) }
        })?;
        Ok(RawTensor { dtype, shape, bytes })
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.base.metadata(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            let delta = || Delta {
                source: lora.clone(),
                down: "down".to_owned(),
                up: "up".to_owned(),
                mid: None,
                rank,
                kernel: 1,
                scale: 0.5,
            };
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
    fn a_kernel_between_both_matrices_is_multiplied_through() {
        let (rank, from, inputs, kernel) = (2, 3, 2, 4);
        let (mid, down) = (wave(rank * from * kernel, 0.3), wave(from * inputs, 0.9));
        let source = file(&[("x", Dtype::F32, &[1], &[0.0])]);
        let delta = Delta { source, down: String::new(), up: String::new(), mid: None, rank, kernel, scale: 1.0 };
        let product = delta.through(&mid, &down, inputs * kernel);
        for (at, found) in product.into_iter().enumerate() {
            let (r, i, k) = (at / (inputs * kernel), at / kernel % inputs, at % kernel);
            let expected: f32 = (0..from).map(|f| mid[(r * from + f) * kernel + k] * down[f * inputs + i]).sum();
            assert!((found - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_sum_that_its_kind_cannot_hold_is_an_error_and_not_an_infinity() {
        let lora = file(&[("up", Dtype::F32, &[1, 1], &[6e4]), ("down", Dtype::F32, &[1, 1], &[2.0])]);
        let delta = Delta {
            source: lora,
            down: "down".to_owned(),
            up: "up".to_owned(),
            mid: None,
            rank: 1,
            kernel: 1,
            scale: 1.0,
        };
        let base = One::new(Dtype::F16, &[1, 1], &[1.0]);
        let error = Merged::new(base, BTreeMap::from([("w".to_owned(), vec![delta])]), true).read("w").unwrap_err();
        assert!(format!("{:?}", chain(&error)).contains("less weight"), "{error:?}");
    }

    fn chain(error: &dyn std::error::Error) -> Vec<String> {
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
    }
}
