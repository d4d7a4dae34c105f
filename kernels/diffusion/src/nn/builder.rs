//! Where a module's parameters come from: a checkpoint, or an initialiser when a model is trained from nothing.
//!
//! One constructor per module serves both, so a trained model's tensor names are the ones that are read back. Every problem of
//! a checkpoint is collected and reported at once, since a wrong file has rarely one wrong tensor.

use super::Kept;
use crate::noise::Philox;
use burn::{
    module::{Param, ParamId},
    tensor::{Device, FloatDType, Tensor, TensorData},
};
use kernels::{
    matmul,
    packed::{Format, PackedWeight, Products, RowOrder},
};
use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fmt::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};
use thiserror::Error;
use weights::{Dtype, TensorSource, WeightsError, dequantise, dequantise_into, quantise};

/// A checkpoint that does not fit the model.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Tensors are missing, surplus or misshapen.
    #[error("the weights do not fit the configuration: {}", list(.0))]
    Mismatch(Vec<Problem>),
    /// The file could not be read.
    #[error("could not read the weights")]
    Read(#[from] WeightsError),
}

fn list(problems: &[Problem]) -> String {
    const SHOWN: usize = 12;
    let mut text = problems.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if problems.len() > SHOWN {
        let _ = write!(text, "; and {} more", problems.len() - SHOWN);
    }
    text
}

/// One thing that is wrong with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The model has a parameter that the file lacks.
    Missing {
        /// Its name.
        name: String,
        /// The shape it must have.
        expected: Vec<usize>,
    },
    /// The file's tensor has another shape.
    Misshapen {
        /// Its name.
        name: String,
        /// The shape it must have.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The file has a tensor that the model does not use.
    Surplus {
        /// Its name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, expected } => write!(f, "`{name}` is missing (expected {expected:?})"),
            Self::Misshapen { name, expected, found } => {
                write!(f, "`{name}` is {found:?}, expected {expected:?}")
            }
            Self::Surplus { name, found } => write!(f, "`{name}` {found:?} is not part of this model"),
        }
    }
}

/// How a parameter starts when no checkpoint is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Normal with this standard deviation.
    Normal(f32),
    /// Uniform in ± 1 / sqrt(fan in), `PyTorch`'s default for linear and convolution layers.
    FanIn(usize),
}

enum Origin<'a> {
    Checkpoint(&'a dyn TensorSource),
    Random(RefCell<Philox>),
    Outline(RefCell<Vec<Outlined>>),
}

/// A parameter that a model has, without its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlined {
    /// The checkpoint's name of it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
}

/// What all builders of one model share.
pub struct BuilderRoot<'a> {
    origin: Origin<'a>,
    device: Device,
    keep_quantised: bool,
    rehearses: bool,
    packs: bool,
    products: Products,
    product_dtype: Option<FloatDType>,
    used: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<Problem>>,
    failure: RefCell<Option<WeightsError>>,
    bytes: Cell<u64>,
    names: RefCell<Vec<(ParamId, String)>>,
    identity: u64,
    /// What is on the device already, and the part that this is of it.
    kept: Option<(&'a Kept, &'static str)>,
}

impl<'a> BuilderRoot<'a> {
    /// Reads parameters from a checkpoint onto `device`; with `keep_quantised`, what our own
    /// kernels multiply with stays as the file has it.
    pub fn from_checkpoint(source: &'a dyn TensorSource, device: &Device, keep_quantised: bool) -> Self {
        Self::new(Origin::Checkpoint(source), device, keep_quantised)
    }

    /// Draws parameters from the initialisers, the same for the same seed on every device.
    pub fn random(seed: u64, device: &Device) -> Self {
        Self::new(Origin::Random(RefCell::new(Philox::new(seed))), device, false)
    }

    /// Notes which parameters a model has, of whatever size, and makes none of them.
    pub fn outline(device: &Device) -> Self {
        Self::new(Origin::Outline(RefCell::default()), device, false)
    }

    /// What a builder of [`Self::outline`] noted.
    pub fn outlined(&self) -> Vec<Outlined> {
        match &self.origin {
            Origin::Outline(outlined) => outlined.borrow().clone(),
            Origin::Checkpoint(_) | Origin::Random(_) => Vec::new(),
        }
    }

    fn new(origin: Origin<'a>, device: &Device, keep_quantised: bool) -> Self {
        Self {
            origin,
            device: device.clone(),
            keep_quantised,
            rehearses: false,
            packs: true,
            products: Products::Single,
            product_dtype: None,
            used: RefCell::default(),
            problems: RefCell::default(),
            failure: RefCell::default(),
            bytes: Cell::new(0),
            names: RefCell::default(),
            identity: 0,
            kept: None,
        }
    }

    /// Reads no weight of the checkpoint and puts zeros or nothing in its place, for a [rehearsal](kernels::rehearse).
    #[must_use]
    pub const fn with_stand_ins(mut self, rehearses: bool) -> Self {
        self.rehearses = rehearses;
        self
    }

    /// Takes parameters of a part that are the same from there, and puts the others there.
    #[must_use]
    pub const fn with_kept(mut self, kept: &'a Kept, part: &'static str) -> Self {
        self.kept = Some((kept, part));
        self
    }

    /// Packs nothing for our own kernels, for whoever trains the parameters or reads them back.
    #[must_use]
    pub const fn with_plain_parameters(mut self) -> Self {
        self.packs = false;
        self
    }

    /// Gives parameters identities that no other network's have, for one that shares a run with another of the same names.
    #[must_use]
    pub fn with_fresh_identities(mut self) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.identity = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self
    }

    /// What packed weights are multiplied in.
    #[must_use]
    pub const fn with_products(mut self, products: Products) -> Self {
        self.products = products;
        self
    }

    /// Makes linear layers and convolutions multiply in a half type, between inputs, weights and outputs of f32: mixed
    /// precision (Micikevicius et al., 2018).
    #[must_use]
    pub const fn with_product_dtype(mut self, dtype: Option<FloatDType>) -> Self {
        self.product_dtype = dtype;
        self
    }

    /// The builder of the model's root, whose tensors start with `prefix` (`unet`, or empty).
    pub fn root(&'a self, prefix: &str) -> Builder<'a> {
        Builder { shared: self, prefix: prefix.to_owned() }
    }

    /// Ends loading: everything under `prefix` must have been used, and nothing been wrong.
    ///
    /// # Errors
    /// [`LoadError`] with every problem found.
    pub fn finish(&self, prefix: &str) -> Result<(), LoadError> {
        if let Some(error) = self.failure.borrow_mut().take() {
            return Err(LoadError::Read(error));
        }
        let mut problems = self.problems.borrow_mut();
        if let Origin::Checkpoint(source) = &self.origin
            && !self.rehearses
        {
            let used = self.used.borrow();
            let inside =
                |name: &str| prefix.is_empty() || name.strip_prefix(prefix).is_some_and(|r| r.starts_with('.'));
            problems.extend(
                source
                    .tensors()
                    .iter()
                    .filter(|info| inside(&info.name) && !used.contains(&info.name) && !is_known_buffer(&info.name))
                    .map(|info| Problem::Surplus { name: info.name.clone(), found: info.shape.clone() }),
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(LoadError::Mismatch(problems.split_off(0))) }
    }

    /// The checkpoint's name of every parameter that was handed out, for a trainer that writes them back.
    pub fn names(&self) -> Vec<(ParamId, String)> {
        self.names.borrow().clone()
    }

    /// Bytes of the parameters as they lie on the device.
    pub fn device_bytes(&self) -> u64 {
        self.bytes.get()
    }
}

/// Buffers that older exporters wrote beside the parameters.
fn is_known_buffer(name: &str) -> bool {
    name.ends_with("position_ids")
}

/// Hands out the parameters below one name.
#[derive(Clone)]
pub struct Builder<'a> {
    shared: &'a BuilderRoot<'a>,
    prefix: String,
}

impl Builder<'_> {
    /// The builder of a part.
    #[must_use]
    pub fn pp(&self, name: impl fmt::Display) -> Self {
        Self { shared: self.shared, prefix: self.name(&name.to_string()) }
    }

    /// The builder of the first part that the checkpoint has, or of the first name when it has none.
    ///
    /// Exporters renamed some parts over the years; what is written is always the first name.
    #[must_use]
    pub fn pp_any(&self, names: &[&str]) -> Self {
        let found = names.iter().find(|name| self.has(name));
        self.pp(found.or(names.first()).copied().unwrap_or_default())
    }

    /// Whether the checkpoint has anything below `name`.
    pub fn has(&self, name: &str) -> bool {
        match &self.shared.origin {
            Origin::Checkpoint(source) => {
                let prefix = format!("{}.", self.name(name));
                source.tensors().iter().any(|info| info.name.starts_with(&prefix))
            }
            Origin::Random(_) | Origin::Outline(_) => false,
        }
    }

    /// The device that parameters are put on.
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// What layers multiply in, where it is not their weights' type.
    pub const fn product_dtype(&self) -> Option<FloatDType> {
        self.shared.product_dtype
    }

    fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    /// One parameter.
    ///
    /// A tensor that is missing or misshapen is noted for [`BuilderRoot::finish`], and an empty one stands in for it.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D], init: Init) -> Param<Tensor<D>> {
        let id = self.id(name);
        self.shared.names.borrow_mut().push((id, self.name(name)));
        match &self.shared.origin {
            Origin::Random(random) => {
                let values = initial(&mut random.borrow_mut(), shape.iter().product(), init);
                self.count(values.len() as u64 * 4);
                Param::initialized(id, Tensor::from_data(TensorData::new(values, shape), self.device()))
            }
            Origin::Outline(outlined) => {
                outlined.borrow_mut().push(Outlined { name: self.name(name), shape: shape.to_vec(), init });
                Param::initialized(id, Tensor::zeros([1; D], self.device()))
            }
            Origin::Checkpoint(_) if self.shared.rehearses => {
                Param::initialized(id, Tensor::zeros(shape, self.device()))
            }
            Origin::Checkpoint(source) => {
                let read = || {
                    let found = self.read(*source, name, &shape)?;
                    Some((self.upload(&found, shape), shape.iter().product::<usize>() as u64 * 4))
                };
                let tensor = self.kept_or(*source, name, read);
                Param::initialized(id, tensor.unwrap_or_else(|| Tensor::zeros([1; D], self.device())))
            }
        }
    }

    /// What the checkpoint stores of a tensor of this shape, without a copy where its file is memory already.
    fn read<'s>(&self, source: &'s dyn TensorSource, name: &str, shape: &[usize]) -> Option<(Dtype, Cow<'s, [u8]>)> {
        let name = self.name(name);
        let Some(info) = source.info(&name) else {
            self.problem(Problem::Missing { name, expected: shape.to_vec() });
            return None;
        };
        let same_matrix = is_pointwise_of(&info.shape, shape);
        if info.shape != shape && !same_matrix {
            let found = info.shape.clone();
            self.shared.used.borrow_mut().insert(name.clone());
            self.problem(Problem::Misshapen { name, expected: shape.to_vec(), found });
            return None;
        }
        let found = match source.mapped(&name) {
            Some(bytes) => Ok((info.dtype, Cow::Borrowed(bytes))),
            None => source.read(&name).map(|raw| (raw.dtype, Cow::Owned(raw.bytes))),
        };
        self.shared.used.borrow_mut().insert(name);
        found.map_err(|error| self.shared.failure.borrow_mut().get_or_insert(error).to_string()).ok()
    }

    fn problem(&self, problem: Problem) {
        self.shared.problems.borrow_mut().push(problem);
    }

    fn upload<const D: usize>(&self, (dtype, bytes): &(Dtype, Cow<'_, [u8]>), shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(dequantise(*dtype, bytes), shape), self.device())
    }

    /// A parameter that is on the device already, or what `read` brings there with its bytes.
    fn kept_or<T: Clone + Send + Sync + 'static>(
        &self,
        source: &dyn TensorSource,
        name: &str,
        read: impl FnOnce() -> Option<(T, u64)>,
    ) -> Option<T> {
        let name = self.name(name);
        let read = || {
            let found = read();
            source.release(&name);
            found
        };
        let Some((kept, part)) = self.shared.kept else {
            let (value, bytes) = read()?;
            self.count(bytes);
            return Some(value);
        };
        let (key, version) = (format!("{part} {name}"), source.version(&name));
        if let Some((value, bytes)) = kept.take(&key, version) {
            self.shared.used.borrow_mut().insert(name);
            self.count(bytes);
            return Some(value);
        }
        let (value, bytes) = read()?;
        kept.put(key, version, value.clone(), bytes);
        self.count(bytes);
        Some(value)
    }

    /// The identity of a parameter, which follows from its name, so that an optimiser's saved state finds it after a restart.
    pub fn id(&self, name: &str) -> ParamId {
        ParamId::from(fnv(&self.name(name)) ^ self.shared.identity)
    }

    /// A matrix, or the weight of a convolution, as our own kernels read it; `None` where they do not compute, and where the
    /// checkpoint has none such: then [`Self::tensor`] says what is wrong with it.
    ///
    /// `shape` is the outputs, then what a product sums over.
    pub fn packed(&self, name: &str, shape: &[usize], order: RowOrder) -> Option<PackedWeight> {
        let Origin::Checkpoint(source) = &self.shared.origin else { return None };
        let (rows, columns) = (shape[0], shape[1..].iter().product());
        let info = source.info(&self.name(name))?;
        let format = self.format(info.dtype, columns)?;
        // Only where everything is as it should be; anything else is reported by the way that serves all devices.
        let is_product = shape.len() == 2 || shape[2..] == [1, 1];
        let is_known = !is_product || matmul::knows(format, columns);
        if !(info.shape == shape || is_pointwise_of(&info.shape, shape)) || !is_known {
            return None;
        }
        if self.shared.rehearses {
            let weight = PackedWeight::stand_in(format, [rows, columns], self.device());
            return Some(weight.with_products(self.shared.products));
        }
        let weight = self.kept_or(*source, name, || {
            let (dtype, bytes) = self.read(*source, name, shape)?;
            let weight = match dtype.byte_len(columns as u64) {
                _ if format == Format::F16 && dtype != Dtype::F16 => {
                    let halves = quantise(&dequantise(dtype, &bytes), Dtype::F16).ok()?;
                    PackedWeight::new(&halves, format, [rows, columns], order, self.device())
                }
                _ if format != Format::F32 => PackedWeight::new(&bytes, format, [rows, columns], order, self.device()),
                Some(row_bytes) => {
                    let row_bytes = row_bytes as usize;
                    PackedWeight::from_rows([rows, columns], order, self.device(), |row, values| {
                        dequantise_into(dtype, &bytes[row * row_bytes..][..row_bytes], values);
                    })
                }
                // Blocks that run over the end of a row.
                None => PackedWeight::from_f32(&dequantise(dtype, &bytes), [rows, columns], order, self.device()),
            };
            let bytes = weight.bytes() as u64;
            Some((weight, bytes))
        })?;
        Some(weight.with_products(self.shared.products))
    }

    /// How our own kernels would read a matrix of so many columns, where they compute.
    fn format(&self, dtype: Dtype, columns: usize) -> Option<Format> {
        if !self.shared.packs || !kernels::runs_on(self.device()) || self.product_dtype().is_some() {
            return None;
        }
        let kept = match dtype {
            Dtype::Q8_0 => Format::Q8,
            Dtype::Q4_0 => Format::Q4,
            // Blocks that no kernel reads are unpacked, to no more than halves.
            other if other == Dtype::F16 || other.is_block_quantised() => Format::F16,
            _ => Format::F32,
        };
        // A block that runs over the end of a row belongs to no tile.
        // The CPU's kernels read single precision alone.
        let is_kept = self.shared.keep_quantised && kernels::is_queued(self.device());
        let fits = is_kept && columns.is_multiple_of(kept.columns_at_once());
        Some(if fits { kept } else { Format::F32 })
    }

    /// A vector's values, for layers that make something else of them; `None` is noted for [`BuilderRoot::finish`].
    pub fn values(&self, name: &str, count: usize) -> Option<Vec<f32>> {
        let Origin::Checkpoint(source) = &self.shared.origin else { return None };
        if self.shared.rehearses {
            return Some(vec![0.0; count]);
        }
        self.kept_or(*source, name, || {
            let (dtype, bytes) = self.read(*source, name, &[count])?;
            Some((dequantise(dtype, &bytes), count as u64 * 4))
        })
    }

    fn count(&self, bytes: u64) {
        self.shared.bytes.set(self.shared.bytes.get() + bytes);
    }
}

/// A linear layer stored as a 1 x 1 convolution, or the other way round.
fn is_pointwise_of(found: &[usize], expected: &[usize]) -> bool {
    let trimmed = |shape: &[usize]| {
        let ones = shape.iter().rev().take_while(|&&side| side == 1).count();
        shape[..shape.len() - ones.min(2)].to_vec()
    };
    found.len() != expected.len() && found.len().max(expected.len()) == 4 && trimmed(found) == trimmed(expected)
}

/// FNV-1a, 64 bits.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

fn initial(random: &mut Philox, count: usize, init: Init) -> Vec<f32> {
    match init {
        Init::Zeros => vec![0.0; count],
        Init::Ones => vec![1.0; count],
        Init::Normal(deviation) => random.normal(count).into_iter().map(|value| value * deviation).collect(),
        Init::FanIn(fan_in) => {
            let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
            random.uniform(count).into_iter().map(|value| (value * 2.0 - 1.0) * bound).collect()
        }
    }
}
