//! Random tensors as a file would have them.

use diffusion::{
    nn::{Init, Outlined},
    noise::Philox,
};
use std::{cell::RefCell, ops::Range};
use weights::{Dtype, RawTensor, TensorInfo, TensorSource, WeightsError};

/// Draws every tensor when it is asked for, the same for the same name.
pub struct RandomSource {
    tensors: Vec<TensorInfo>,
    inits: Vec<Init>,
    /// The last tensor of which a part was read: its values follow from each other, so that a part is no less work.
    last: RefCell<Option<(String, Vec<u8>)>>,
}

impl RandomSource {
    /// The tensors that were outlined.
    pub fn new(outlined: &[Outlined]) -> Self {
        let mut sorted = outlined.to_vec();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let tensors = sorted.iter().map(|one| TensorInfo {
            name: one.name.clone(),
            dtype: Dtype::F32,
            shape: one.shape.clone(),
            offset: 0,
            bytes: one.shape.iter().product::<usize>() as u64 * 4,
        });
        Self {
            tensors: tensors.collect(),
            inits: sorted.iter().map(|one| one.init).collect(),
            last: RefCell::default(),
        }
    }
}

impl TensorSource for RandomSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        let unknown = || WeightsError::UnknownTensor { name: name.to_owned() };
        let index = self.tensors.iter().position(|info| info.name == name).ok_or_else(unknown)?;
        let info = &self.tensors[index];
        let count = info.shape.iter().product();
        let mut random = Philox::new(index as u64 + 1);
        let values = match self.inits[index] {
            Init::Zeros => vec![0.0; count],
            Init::Ones => vec![1.0; count],
            Init::Normal(deviation) => random.normal(count).into_iter().map(|value| value * deviation).collect(),
            Init::FanIn(fan_in) => {
                // Three times the usual variance, which keeps the values' spread from layer to layer: the picture has something in it.
                let bound = (3.0 / fan_in.max(1) as f32).sqrt();
                random.uniform(count).into_iter().map(|value| (value * 2.0 - 1.0) * bound).collect()
            }
        };
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(RawTensor { dtype: Dtype::F32, shape: info.shape.clone(), bytes })
    }

    fn read_range(&self, name: &str, elements: Range<u64>) -> Result<Vec<u8>, WeightsError> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(drawn, _)| drawn != name) {
            // The old one goes before the new one comes.
            *last = None;
            *last = Some((name.to_owned(), self.read(name)?.bytes));
        }
        let bytes = last.as_ref().and_then(|(_, bytes)| {
            let [start, end] = [elements.start, elements.end].map(|element| element.checked_mul(4));
            bytes.get(start? as usize..end? as usize)
        });
        let refused = || WeightsError::UnknownTensor { name: name.to_owned() };
        bytes.map(<[u8]>::to_vec).ok_or_else(refused)
    }

    fn metadata(&self, _key: &str) -> Option<&str> {
        None
    }
}
