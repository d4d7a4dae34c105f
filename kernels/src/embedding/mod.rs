//! Rows of a packed matrix by their numbers: the vectors of a prompt's tokens.

mod kernel;
#[cfg(test)]
mod tests;

use crate::packed::{Operand, PackedWeight};
use burn::{
    backend::{
        Backend, Dispatch, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{Int, Tensor},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

/// Look-ups that a CubeCL device and the CPU have.
#[backend_extension(Cube, Flex)]
pub trait EmbeddingOps: Backend {
    /// See [`embedding`].
    fn packed_embedding(ids: IntTensor<Self>, words: IntTensor<Self>, operand: Operand) -> FloatTensor<Self>;
}

/// A row of a packed table for each id, on a device that [`runs_on`](super::runs_on) names.
///
/// # Shapes
///
/// - ids: `[batch, tokens]`, each below the table's rows; others give the last row
/// - output: `[batch, tokens, columns]`
pub fn embedding(ids: Tensor<2, Int>, weight: &PackedWeight) -> Tensor<3> {
    let operand = weight.operand();
    Tensor::from_dispatch(Dispatch::packed_embedding(
        ids.into_dispatch(),
        weight.words.clone().into_dispatch(),
        operand,
    ))
}

impl EmbeddingOps for CubeBackend {
    fn packed_embedding(ids: CubeTensor, words: CubeTensor, operand: Operand) -> CubeTensor {
        kernel::launch(into_contiguous(ids), words, operand)
    }
}
