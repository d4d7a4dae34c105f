//! What a file has for one module, and what it comes to.

use super::delta::{Change, Delta, Lengths, Matrix, Pair};
use std::{collections::BTreeMap, rc::Rc};
use weights::{
    TensorSource,
    lora::{Factor, Module, Role},
};

/// The two pairs of matrices of a product of products.
const FIRST: [Factor; 4] = [Factor::First, Factor::FirstA, Factor::FirstB, Factor::FirstKernel];
const SECOND: [Factor; 4] = [Factor::Second, Factor::SecondA, Factor::SecondB, Factor::SecondKernel];

/// More than anyone trains; a file of three small tensors could else ask for a product of any size.
const MAX_RANK: usize = 4096;

/// The tensors of one module.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) tensors: BTreeMap<Role, String>,
    pub(super) alpha: Option<f64>,
    /// The rank that settings beside the file say, for what shows none.
    pub(super) rank: Option<usize>,
}

/// Tensors whose sizes are not the module's.
struct Misfit;

/// A file with the sizes of the module that it is for.
struct Shapes<'a> {
    source: &'a dyn TensorSource,
    rows: usize,
    columns: usize,
    kernel: usize,
}

impl Shapes<'_> {
    fn elements(&self, name: &str) -> Option<usize> {
        usize::try_from(self.source.info(name)?.elements()).ok()
    }

    /// `up` and `down` of a matrix of these sizes, where they fit.
    fn pair(&self, up: &str, down: &str, mid: Option<&String>, is_transposed: bool) -> Option<Pair> {
        let (up_elements, down_elements) = (self.elements(up)?, self.elements(down)?);
        let rank = up_elements / self.rows.max(1);
        let inputs = self.columns / self.kernel.max(1);
        let fits = match mid {
            Some(mid) => {
                let from = down_elements / inputs.max(1);
                down_elements == from * inputs && self.elements(mid)? == rank * from * self.kernel
            }
            None => down_elements == rank * self.columns,
        };
        let is_whole = (1..=MAX_RANK).contains(&rank) && up_elements == rank * self.rows && fits;
        let (up, down, mid) = (up.to_owned(), down.to_owned(), mid.cloned());
        is_whole.then_some(Pair { up, down, mid, rank, is_transposed })
    }
}

impl Parts {
    fn has(&self, role: Role) -> bool {
        self.tensors.contains_key(&role)
    }

    /// Whether nothing is missing of what it has something of.
    pub(super) fn is_whole(&self) -> bool {
        let all_or_none = |roles: &[Role]| roles.iter().all(|role| self.has(*role) == self.has(roles[0]));
        let hadamard = [Factor::FirstA, Factor::FirstB, Factor::SecondA, Factor::SecondB].map(Role::Hadamard);
        let kernels = [Factor::FirstKernel, Factor::SecondKernel].map(Role::Hadamard);
        let side = |[whole, a, b, _]: [Factor; 4]| {
            self.has(Role::Kronecker(whole)) || [a, b].iter().all(|factor| self.has(Role::Kronecker(*factor)))
        };
        let is_kronecker = self.tensors.keys().any(|role| matches!(role, Role::Kronecker(_)));
        let is_product = self.has(Role::Down) || is_kronecker || self.has(hadamard[0]);
        let is_any = is_product || self.has(Role::Difference) || self.has(Role::BiasDifference) || self.has(Role::Gain);
        let is_measured = self.has(Role::DoraScale) || self.has(Role::Magnitude);
        is_any
            && (is_product || !is_measured)
            && all_or_none(&[Role::Down, Role::Up])
            && (!self.has(Role::Mid) || self.has(Role::Down))
            && all_or_none(&hadamard)
            && all_or_none(&kernels)
            && (!self.has(kernels[0]) || self.has(hadamard[0]))
            && (!is_kronecker || (side(FIRST) && side(SECOND)))
            && all_or_none(&[Role::OnInput, Role::Gain])
    }

    /// What is added to the module's tensors, by their names; `None` where something does not fit.
    pub(super) fn deltas(
        &self,
        source: &Rc<dyn TensorSource>,
        module: &Module,
        weight: f64,
    ) -> Option<Vec<(String, Delta)>> {
        let Module { rows, columns, kernel, .. } = *module;
        let shapes = Shapes { source: &**source, rows, columns, kernel };
        let delta = |change, scale: f64, lengths, share: f64| {
            let (source, scale, share) = (source.clone(), scale as f32, share as f32);
            (module.tensor.clone(), Delta { source, change, kernel, scale, lengths, share })
        };
        let mut deltas = Vec::new();
        if let Some((change, rank)) = self.product(&shapes).ok()? {
            let rank = rank.or(self.rank);
            let scale = rank.map_or(1.0, |rank| self.alpha.unwrap_or(rank as f64) / rank as f64);
            let lengths = self.lengths(&shapes).ok()?;
            // PEFT measures what has its weight already; others mix what was measured without it.
            let (scale, share) = match (&lengths, self.has(Role::Magnitude)) {
                (Some(_), false) => (scale, weight),
                _ => (scale * weight, 1.0),
            };
            deltas.push(delta(change, scale, lengths, share));
        }
        if let Some(name) = self.tensors.get(&Role::Difference) {
            let fits = shapes.elements(name)? == rows * columns;
            deltas.push(fits.then(|| delta(Change::Whole(name.clone()), weight, None, 1.0))?);
        }
        if let Some(gains) = self.tensors.get(&Role::Gain) {
            let flag = self.tensors.get(&Role::OnInput)?;
            let is_input = source.read(flag).ok()?.to_f32().first().is_some_and(|flag| *flag != 0.0);
            let fits = shapes.elements(gains)? == if is_input { columns / kernel } else { rows };
            let change = Change::Gain { gains: gains.clone(), is_input };
            deltas.push(fits.then(|| delta(change, weight, None, 1.0))?);
        }
        if let Some(name) = self.tensors.get(&Role::BiasDifference) {
            let bias = format!("{}.bias", module.tensor.strip_suffix(".weight")?);
            let (_, bias_delta) = delta(Change::Whole(name.clone()), weight, None, 1.0);
            deltas.push((shapes.elements(name)? == rows).then_some((bias, Delta { kernel: 1, ..bias_delta }))?);
        }
        Some(deltas)
    }

    /// The product, if there is one, with its rank where it shows one; [`Misfit`] where it does not fit.
    fn product(&self, shapes: &Shapes<'_>) -> Result<Option<(Change, Option<usize>)>, Misfit> {
        let get = |role| self.tensors.get(&role);
        if let (Some(up), Some(down)) = (get(Role::Up), get(Role::Down)) {
            let pair = shapes.pair(up, down, get(Role::Mid), false).ok_or(Misfit)?;
            let rank = pair.rank;
            return Ok(Some((Change::Product(pair), Some(rank))));
        }
        let hadamard = |[_, a, b, kernel]: [Factor; 4]| {
            let [a, b, kernel] = [a, b, kernel].map(|factor| get(Role::Hadamard(factor)));
            shapes.pair(a?, b?, kernel, kernel.is_some())
        };
        if self.has(Role::Hadamard(Factor::FirstA)) {
            let pairs = [hadamard(FIRST).ok_or(Misfit)?, hadamard(SECOND).ok_or(Misfit)?];
            let rank = pairs[0].rank;
            return Ok(Some((Change::Hadamard(pairs), Some(rank))));
        }
        if !self.tensors.keys().any(|role| matches!(role, Role::Kronecker(_))) {
            return Ok(None);
        }
        self.kronecker(shapes).ok_or(Misfit).map(Some)
    }

    fn kronecker(&self, shapes: &Shapes<'_>) -> Option<(Change, Option<usize>)> {
        let get = |factor| self.tensors.get(&Role::Kronecker(factor));
        let shape = |name: &String| Some(shapes.source.info(name)?.shape.as_slice());
        let sizes = match (get(Factor::First), get(Factor::FirstA), get(Factor::FirstB)) {
            (Some(whole), ..) => <[usize; 2]>::try_from(shape(whole)?).ok()?,
            (None, Some(a), Some(b)) => [*shape(a)?.first()?, *shape(b)?.last()?],
            _ => return None,
        };
        let Shapes { source, rows, columns, kernel } = *shapes;
        let is_divided = sizes.iter().all(|size| *size > 0)
            && rows.is_multiple_of(sizes[0])
            && (columns / kernel).is_multiple_of(sizes[1]);
        let of = |[whole, a, b, mid]: [Factor; 4], [rows, columns]: [usize; 2], kernel| {
            let shapes = Shapes { source, rows, columns, kernel };
            match (get(whole), get(a), get(b)) {
                (Some(whole), ..) => {
                    (shapes.elements(whole)? == rows * columns).then(|| (Matrix::Whole(whole.clone()), None))
                }
                (None, Some(a), Some(b)) => {
                    let pair = shapes.pair(a, b, get(mid), get(mid).is_some())?;
                    let rank = pair.rank;
                    Some((Matrix::Product(pair), Some(rank)))
                }
                _ => None,
            }
        };
        if !is_divided {
            return None;
        }
        let (first, first_rank) = of(FIRST, sizes, 1)?;
        let (second, second_rank) = of(SECOND, [rows / sizes[0], columns / sizes[1]], kernel)?;
        Some((Change::Kronecker { first, second, sizes }, first_rank.or(second_rank)))
    }

    /// The lengths of a `DoRA`, if it is one; [`Misfit`] where they do not fit.
    fn lengths(&self, shapes: &Shapes<'_>) -> Result<Option<Lengths>, Misfit> {
        let (dora, magnitude) = (self.tensors.get(&Role::DoraScale), self.tensors.get(&Role::Magnitude));
        let Some(tensor) = magnitude.or(dora) else { return Ok(None) };
        let elements = shapes.elements(tensor).ok_or(Misfit)?;
        // A column of them belongs to the outputs, a row to the inputs.
        let first = shapes.source.info(tensor).and_then(|info| info.shape.first()).ok_or(Misfit)?;
        let is_input = magnitude.is_none() && *first != shapes.rows;
        let fits = elements == if is_input { shapes.columns / shapes.kernel } else { shapes.rows };
        fits.then(|| Some(Lengths { tensor: tensor.clone(), is_input })).ok_or(Misfit)
    }
}
