//! What an adapter adds to one tensor, a row at a time.
//!
//! The forms are those of `LyCORIS` (Yeh et al., 2023): plain products (`LoRA`), products by elements (`LoHa`), products of blocks
//! (`LoKr`), whole differences, gains (`(IA)^3`; Liu et al., 2022), each with lengths of its own where it is a `DoRA` (Liu et al., 2024).

use std::rc::Rc;
use weights::{TensorSource, WeightsError};

/// Two matrices of low rank in a file, with a kernel between them where a convolution is taken apart (Tucker, 1966).
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// `[rows, rank]`, or `[rank, rows]` where [`Self::is_transposed`].
    pub(super) up: String,
    /// `[rank, columns]`, or with a kernel `[inner rank, inputs]`.
    pub(super) down: String,
    /// `[rank, inner rank, kernel]`.
    pub(super) mid: Option<String>,
    pub(super) rank: usize,
    /// As LyCORIS has them beside a kernel.
    pub(super) is_transposed: bool,
}

/// A matrix in a file.
#[derive(Debug, Clone)]
pub(super) enum Matrix {
    Whole(String),
    Product(Pair),
}

/// How a tensor changes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// `up * down`.
    Product(Pair),
    /// `(up * down) ⊙ (up' * down')`.
    Hadamard([Pair; 2]),
    /// `first ⊗ second`; sizes are those of the first.
    Kronecker { first: Matrix, second: Matrix, sizes: [usize; 2] },
    /// Everything that is added.
    Whole(String),
    /// The weight itself, as much of each row or of each input.
    Gain { gains: String, is_input: bool },
}

/// Lengths that rows, or what belongs to an input, have in the end.
#[derive(Debug, Clone)]
pub(super) struct Lengths {
    pub(super) tensor: String,
    pub(super) is_input: bool,
}

/// What is added to a tensor: `scale * change`, whose parts are in a file of their own.
pub(super) struct Delta {
    pub(super) source: Rc<dyn TensorSource>,
    pub(super) change: Change,
    /// Elements of a convolution's kernel.
    pub(super) kernel: usize,
    pub(super) scale: f32,
    /// With lengths: the sum `base + scale * change` has these, and `share` of what that is more than the base is added.
    pub(super) lengths: Option<Lengths>,
    pub(super) share: f32,
}

/// [`Pair`] in memory, `[rows, rank]` and `[rank, columns]`.
struct LowRank {
    up: Vec<f32>,
    down: Vec<f32>,
    rank: usize,
    columns: usize,
}

impl LowRank {
    /// `columns` are the product's, `kernel` elements for each of its inputs.
    fn read(source: &dyn TensorSource, pair: &Pair, columns: usize, kernel: usize) -> Result<Self, WeightsError> {
        let mut up = source.read(&pair.up)?.to_f32();
        let mut down = source.read(&pair.down)?.to_f32();
        let rank = pair.rank;
        if pair.is_transposed {
            let rows = up.len() / rank;
            up = (0..up.len()).map(|at| up[at % rank * rows + at / rank]).collect();
        }
        if let Some(mid) = &pair.mid {
            down = through(&source.read(mid)?.to_f32(), &down, [rank, columns, kernel]);
        }
        Ok(Self { up, down, rank, columns })
    }

    /// Adds a row of the product, so that that is never there as a whole.
    fn add_row(&self, index: usize, scale: f32, row: &mut [f32]) {
        let factors = &self.up[index * self.rank..][..self.rank];
        for (&factor, from) in factors.iter().zip(self.down.chunks_exact(self.columns)) {
            let factor = factor * scale;
            row.iter_mut().zip(from).for_each(|(value, from)| *value += factor * from);
        }
    }
}

/// The kernel between both matrices: `[rank, from, kernel]` after `[from, inputs]`, as `[rank, inputs, kernel]`.
fn through(mid: &[f32], down: &[f32], [rank, columns, kernel]: [usize; 3]) -> Vec<f32> {
    let inputs = columns / kernel;
    let from = down.len() / inputs;
    let mut product = vec![0.0; rank * columns];
    for (rank, out) in product.chunks_exact_mut(columns).enumerate() {
        for (inner, row) in down.chunks_exact(inputs).enumerate() {
            let kernel_of = &mid[(rank * from + inner) * kernel..][..kernel];
            for (&value, out) in row.iter().zip(out.chunks_exact_mut(kernel)) {
                out.iter_mut().zip(kernel_of).for_each(|(out, kernel)| *out += value * kernel);
            }
        }
    }
    product
}

/// [`Change`] in memory.
enum Loaded {
    Product(LowRank),
    Hadamard([LowRank; 2]),
    Kronecker { first: Vec<f32>, second: Vec<f32>, inputs: usize, rows: usize },
    Whole(Vec<f32>),
    Gain { gains: Vec<f32>, is_input: bool, kernel: usize },
}

impl Loaded {
    /// Adds `scale` times a row of the change.
    fn add_row(&self, index: usize, base: &[f32], scale: f32, row: &mut [f32]) {
        let add = |row: &mut [f32], from: &[f32]| {
            row.iter_mut().zip(from).for_each(|(value, from)| *value += scale * from);
        };
        match self {
            Self::Product(product) => product.add_row(index, scale, row),
            Self::Hadamard(pair) => {
                let [mut first, mut second] = [vec![0.0; row.len()], vec![0.0; row.len()]];
                pair[0].add_row(index, 1.0, &mut first);
                pair[1].add_row(index, 1.0, &mut second);
                first.iter_mut().zip(second).for_each(|(first, second)| *first *= second);
                add(row, &first);
            }
            Self::Kronecker { first, second, inputs, rows } => {
                let width = row.len() / inputs;
                let (factors, from) = (&first[index / rows * inputs..], &second[index % rows * width..][..width]);
                for (&factor, part) in factors.iter().zip(row.chunks_exact_mut(width)) {
                    part.iter_mut().zip(from).for_each(|(value, from)| *value += scale * factor * from);
                }
            }
            Self::Whole(values) => add(row, &values[index * row.len()..][..row.len()]),
            Self::Gain { gains, is_input, kernel } => {
                for (column, (value, base)) in row.iter_mut().zip(base).enumerate() {
                    let gain = if *is_input { gains[column / kernel] } else { gains[index] };
                    *value += scale * gain * base;
                }
            }
        }
    }
}

impl Delta {
    /// Whether it asks for the weight that it is added to.
    pub(super) const fn asks_base(&self) -> bool {
        self.lengths.is_some() || matches!(self.change, Change::Gain { .. })
    }

    /// Adds it to a matrix, row by row; `base` is what that was at first, where it is no longer.
    pub(super) fn add_to(&self, values: &mut [f32], base: Option<&[f32]>, rows: usize) -> Result<(), WeightsError> {
        let columns = values.len() / rows.max(1);
        let loaded = self.read([rows, columns])?;
        let lengths = self.lengths.as_ref().map(|lengths| self.factors(&loaded, lengths, base.unwrap_or(values), rows));
        let lengths = lengths.transpose()?;
        for (index, row) in values.chunks_exact_mut(columns).enumerate() {
            let own = base.is_none().then(|| row.to_vec()).filter(|_| self.asks_base());
            let base = base.map(|base| &base[index * columns..][..columns]).or(own.as_deref()).unwrap_or_default();
            let Some(lengths) = &lengths else {
                loaded.add_row(index, base, self.scale, row);
                continue;
            };
            let mut sum = base.to_vec();
            loaded.add_row(index, base, self.scale, &mut sum);
            for (column, ((value, base), sum)) in row.iter_mut().zip(base).zip(sum).enumerate() {
                let factor = lengths[if self.is_by_input() { column / self.kernel } else { index }];
                *value += self.share * (factor * sum - base);
            }
        }
        Ok(())
    }

    fn is_by_input(&self) -> bool {
        self.lengths.as_ref().is_some_and(|lengths| lengths.is_input)
    }

    /// What rows or inputs of the sum are multiplied with so that they have their lengths.
    fn factors(&self, loaded: &Loaded, lengths: &Lengths, base: &[f32], rows: usize) -> Result<Vec<f32>, WeightsError> {
        let wanted = self.source.read(&lengths.tensor)?.to_f32();
        let columns = base.len() / rows.max(1);
        let mut squares = vec![0.0; wanted.len()];
        for (index, base) in base.chunks_exact(columns).enumerate() {
            let mut sum = base.to_vec();
            loaded.add_row(index, base, self.scale, &mut sum);
            for (column, value) in sum.into_iter().enumerate() {
                squares[if lengths.is_input { column / self.kernel } else { index }] += value * value;
            }
        }
        let factor = |(wanted, square): (f32, f32)| wanted / square.sqrt().max(f32::MIN_POSITIVE);
        Ok(wanted.into_iter().zip(squares).map(factor).collect())
    }

    fn read(&self, [rows, columns]: [usize; 2]) -> Result<Loaded, WeightsError> {
        let source = &*self.source;
        let low_rank = |pair: &Pair, columns| LowRank::read(source, pair, columns, self.kernel);
        let values = |name: &str| Ok::<_, WeightsError>(source.read(name)?.to_f32());
        let matrix = |matrix: &Matrix, [rows, columns]: [usize; 2], kernel| match matrix {
            Matrix::Whole(name) => values(name),
            Matrix::Product(pair) => {
                let product = LowRank::read(source, pair, columns, kernel)?;
                let mut whole = vec![0.0; rows * columns];
                whole.chunks_exact_mut(columns).enumerate().for_each(|(index, row)| product.add_row(index, 1.0, row));
                Ok(whole)
            }
        };
        Ok(match &self.change {
            Change::Product(pair) => Loaded::Product(low_rank(pair, columns)?),
            Change::Hadamard([first, second]) => {
                Loaded::Hadamard([low_rank(first, columns)?, low_rank(second, columns)?])
            }
            Change::Kronecker { first, second, sizes } => {
                let inner = [rows / sizes[0], columns / sizes[1]];
                let (first, second) = (matrix(first, *sizes, 1)?, matrix(second, inner, self.kernel)?);
                Loaded::Kronecker { first, second, inputs: sizes[1], rows: inner[0] }
            }
            Change::Whole(name) => Loaded::Whole(values(name)?),
            Change::Gain { gains, is_input } => {
                Loaded::Gain { gains: values(gains)?, is_input: *is_input, kernel: self.kernel }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_between_both_matrices_is_multiplied_through() {
        let wave = |count: usize, step: f32| (0..count).map(|index| (index as f32 * step).sin()).collect::<Vec<_>>();
        let (rank, from, inputs, kernel) = (2, 3, 2, 4);
        let (mid, down) = (wave(rank * from * kernel, 0.3), wave(from * inputs, 0.9));
        let product = through(&mid, &down, [rank, inputs * kernel, kernel]);
        for (at, found) in product.into_iter().enumerate() {
            let (r, i, k) = (at / (inputs * kernel), at / kernel % inputs, at % kernel);
            let expected: f32 = (0..from).map(|f| mid[(r * from + f) * kernel + k] * down[f * inputs + i]).sum();
            assert!((found - expected).abs() < 1e-6);
        }
    }
}
