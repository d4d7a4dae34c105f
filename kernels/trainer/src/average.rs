//! Parameters by name: read out, averaged, written back.

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};
use std::collections::BTreeMap;

/// Parameters of a module as flat tensors outside autodiff, with their shapes.
pub type Parameters = BTreeMap<u64, (Vec<usize>, Tensor<1>)>;

struct Collector(Parameters);

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().without_autodiff();
        let shape = value.dims().to_vec();
        let count = shape.iter().product::<usize>();
        self.0.insert(param.id.val(), (shape, value.reshape([count])));
    }
}

/// Reads a module's parameters.
pub fn parameters<M: Module>(module: &M) -> Parameters {
    let mut collector = Collector(BTreeMap::new());
    module.visit(&mut collector);
    collector.0
}

/// An exponential moving average of parameters (Polyak and Juditsky, 1992).
pub struct Average {
    decay: f64,
    /// The averaged parameters.
    pub parameters: Parameters,
}

impl Average {
    /// An average that starts at these parameters.
    pub const fn new(decay: f64, parameters: Parameters) -> Self {
        Self { decay, parameters }
    }

    /// Takes the parameters after step `step`; young averages forget faster.
    pub fn update(&mut self, step: u64, current: Parameters) {
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64));
        for (id, (shape, value)) in current {
            let entry = match self.parameters.remove(&id) {
                Some((_, average)) => average * decay + value * (1.0 - decay),
                None => value,
            };
            self.parameters.insert(id, (shape, entry));
        }
    }
}

/// Pairs parameters with the checkpoint's names.
pub fn named<'a>(
    parameters: &'a Parameters,
    names: &'a [(ParamId, String)],
) -> impl Iterator<Item = (&'a str, &'a [usize], &'a Tensor<1>)> {
    names.iter().filter_map(|(id, name)| {
        parameters.get(&id.val()).map(|(shape, value)| (name.as_str(), shape.as_slice(), value))
    })
}
