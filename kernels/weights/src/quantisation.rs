use crate::Dtype;

/// Which kind each tensor of a model is stored in when the model is made smaller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantisation {
    /// The kind for the matrices and convolutions that it fits.
    pub target: Dtype,
    /// Tensors whose name contains one of these are stored in half precision whatever their shape.
    pub keep_f16: Vec<String>,
    /// Only matrices are quantised: ggml's own programs find blocks along a tensor's last dimension, and a convolution's is
    /// its kernel's width.
    pub matrices_only: bool,
}

/// The kind that a tensor is stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The kind.
    pub dtype: Dtype,
    /// Why it is not the one that was asked for.
    pub reason: Option<Reason>,
}

/// Why a tensor is not stored in the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is a vector or a scalar: small, and every element that it touches inherits its error.
    Vector,
    /// Its name is one of those that are kept.
    Kept,
    /// Its rows do not fill whole blocks.
    Rows,
    /// A block would mix weights of two inputs that are joined in front of it, whose ranges differ (Li et al., "Q-Diffusion",
    /// 2023, section 3.3).
    Split,
    /// It is a convolution, and only matrices are quantised.
    Convolution,
}

impl Reason {
    /// What to say of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vector => "a vector",
            Self::Kept => "kept in half precision",
            Self::Rows => "its rows do not fill blocks",
            Self::Split => "a block would mix the inputs that are joined before it",
            Self::Convolution => "a convolution",
        }
    }
}

impl Quantisation {
    /// Store all that it fits as `target`.
    pub fn new(target: Dtype) -> Self {
        Self { target, keep_f16: Vec::new(), matrices_only: false }
    }

    /// The kind in which the tensor `name` of this `shape` is stored.
    ///
    /// Scalars and vectors (biases, the gains of norms) stay in single precision. A tensor whose rows, the product of all
    /// dimensions after the first, do not fill whole blocks of the target is stored in [`Dtype::smaller_blocks`] that they do
    /// fill, else in half precision.
    pub fn stored_dtype(&self, name: &str, shape: &[usize]) -> Dtype {
        self.choose(name, shape, None).dtype
    }

    /// The same with the reason.
    ///
    /// Where the tensor's input is two that were joined, `boundary` is how many of its channels (the second dimension) are
    /// the first one's: then no block has weights of both.
    pub fn choose(&self, name: &str, shape: &[usize], boundary: Option<usize>) -> Choice {
        let Self { target, keep_f16, matrices_only } = self;
        let instead = |dtype, reason| Choice { dtype, reason: Some(reason) };
        let [_, row @ ..] = shape else { return instead(Dtype::F32, Reason::Vector) };
        if row.is_empty() {
            return instead(Dtype::F32, Reason::Vector);
        }
        if keep_f16.iter().any(|part| name.contains(part.as_str())) {
            return instead(Dtype::F16, Reason::Kept);
        }
        if !target.is_block_quantised() {
            return Choice { dtype: *target, reason: None };
        }
        if *matrices_only && shape.len() > 2 {
            return instead(Dtype::F16, Reason::Convolution);
        }
        let product = |dims: &[usize]| dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        let fits =
            |length: Option<usize>, dtype: Dtype| length.is_some_and(|length| length.is_multiple_of(dtype.block_len()));
        let first = boundary.map(|channels| product(&row[1..]).and_then(|kernel| kernel.checked_mul(channels)));
        let reason = |dtype| {
            if !fits(product(row), dtype) {
                Some(Reason::Rows)
            } else if first.is_some_and(|first| !fits(first, dtype)) {
                Some(Reason::Split)
            } else {
                None
            }
        };
        let Some(why) = reason(*target) else { return Choice { dtype: *target, reason: None } };
        let smaller = target.smaller_blocks().filter(|dtype| reason(*dtype).is_none());
        instead(smaller.unwrap_or(Dtype::F16), why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_dtype_follows_the_shape() {
        let quantisation = Quantisation { keep_f16: vec!["time_embed".into()], ..Quantisation::new(Dtype::Q8_0) };
        let cases: [(&str, &[usize], Dtype); 7] = [
            ("scalar", &[], Dtype::F32),
            ("bias", &[320], Dtype::F32),
            ("linear", &[320, 768], Dtype::Q8_0),
            ("narrow", &[320, 30], Dtype::F16),
            ("conv", &[320, 32, 3, 3], Dtype::Q8_0),
            ("conv_in", &[320, 4, 3, 3], Dtype::F16),
            ("time_embed.0.weight", &[1280, 320], Dtype::F16),
        ];
        for (name, shape, dtype) in cases {
            assert_eq!(quantisation.stored_dtype(name, shape), dtype, "{name}");
        }
        assert_eq!(Quantisation::new(Dtype::BF16).stored_dtype("conv_in", &[320, 4, 3, 3]), Dtype::BF16);
        let matrices = Quantisation { matrices_only: true, ..Quantisation::new(Dtype::Q8_0) };
        assert_eq!(matrices.choose("conv", &[320, 32, 3, 3], None).reason, Some(Reason::Convolution));
        assert_eq!(matrices.stored_dtype("linear", &[320, 768]), Dtype::Q8_0);
    }

    #[test]
    fn rows_that_large_blocks_do_not_fill_take_smaller_ones() {
        for (target, smaller) in [(Dtype::Q4K, Dtype::Q5_0), (Dtype::Q5K, Dtype::Q5_1), (Dtype::Q6K, Dtype::Q8_0)] {
            let chosen = |shape: &[usize]| Quantisation::new(target).choose("linear", shape, None);
            assert_eq!(chosen(&[320, 768]), Choice { dtype: target, reason: None });
            assert_eq!(chosen(&[320, 320]), Choice { dtype: smaller, reason: Some(Reason::Rows) });
            assert_eq!(chosen(&[320, 36]), Choice { dtype: Dtype::F16, reason: Some(Reason::Rows) });
        }
    }

    #[test]
    fn no_block_mixes_joined_inputs() {
        let chosen =
            |target, shape: &[usize], boundary| Quantisation::new(target).choose("conv1", shape, Some(boundary));
        // As in Stable Diffusion 1.x: 640 channels from below and 640 from beside, 2.5 blocks of 256 each.
        let split = Some(Reason::Split);
        assert_eq!(chosen(Dtype::Q4K, &[640, 1280, 3, 3], 640), Choice { dtype: Dtype::Q5_0, reason: split });
        assert_eq!(chosen(Dtype::Q4K, &[640, 1280, 1, 1], 640), Choice { dtype: Dtype::Q5_0, reason: split });
        assert_eq!(chosen(Dtype::Q4K, &[1280, 2560, 3, 3], 1280), Choice { dtype: Dtype::Q4K, reason: None });
        assert_eq!(chosen(Dtype::Q8_0, &[640, 1280, 1, 1], 640), Choice { dtype: Dtype::Q8_0, reason: None });
        assert_eq!(chosen(Dtype::Q8_0, &[64, 64, 1, 1], 24), Choice { dtype: Dtype::F16, reason: split });
        assert_eq!(chosen(Dtype::F16, &[64, 64, 1, 1], 24), Choice { dtype: Dtype::F16, reason: None });
    }
}
