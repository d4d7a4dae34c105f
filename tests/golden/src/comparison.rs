//! How far a result is from the reference.

use crate::Tensors;
use anyhow::{Context as _, Result, anyhow, ensure};
use burn::tensor::Tensor;
use std::fmt;

/// One quantity of a case, computed and recorded.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What was compared.
    pub what: String,
    /// `|computed - recorded| / |recorded|` in the Euclidean norm.
    pub error: f64,
    /// The largest error that is accepted.
    pub tolerance: f64,
}

impl Comparison {
    /// Compares plain numbers; another count of them is an infinite error.
    pub fn of(what: impl Into<String>, computed: &[f32], recorded: &[f32], tolerance: f64) -> Self {
        let error =
            if computed.len() == recorded.len() { weights::relative_error(recorded, computed) } else { f64::INFINITY };
        Self { what: what.into(), error, tolerance }
    }

    /// Whether the error is accepted; what is not a number is not.
    pub fn holds(&self) -> bool {
        self.error <= self.tolerance
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, error, tolerance } = self;
        let mark = if self.holds() { "ok  " } else { "FAIL" };
        write!(f, "{mark} {what}: {error:.2e} (at most {tolerance:.0e})")
    }
}

/// A tensor's values, wherever it lies.
///
/// # Errors
/// When the device fails.
pub async fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data_async().await.map_err(|error| anyhow!("the device failed: {error:?}"))?;
    data.convert::<f32>().try_to_vec().map_err(|error| anyhow!("no single-precision values: {error:?}"))
}

/// Compares a tensor with the one that the case recorded under `name`.
///
/// # Errors
/// When nothing is recorded under the name, in another shape, or the device fails.
pub async fn compare<const D: usize>(
    computed: Tensor<D>,
    recorded: &Tensors,
    name: &str,
    tolerance: f64,
) -> Result<Comparison> {
    let raw = recorded.get(name).with_context(|| format!("no `{name}` is recorded"))?;
    ensure!(computed.dims()[..] == raw.shape[..], "`{name}` is {:?}, not {:?}", computed.dims(), raw.shape);
    Ok(Comparison::of(name, &values(computed).await?, &raw.to_f32(), tolerance))
}

/// Prints what was compared in a case.
///
/// # Errors
/// Listing what is off.
pub fn verdict(case: &str, comparisons: &[Comparison]) -> Result<()> {
    ensure!(!comparisons.is_empty(), "{case}: nothing was compared");
    for comparison in comparisons {
        println!("{case}: {comparison}");
    }
    let off: Vec<String> = comparisons.iter().filter(|one| !one.holds()).map(ToString::to_string).collect();
    ensure!(off.is_empty(), "{case}: {}", off.join("; "));
    Ok(())
}
