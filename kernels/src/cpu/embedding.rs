//! Rows of a packed table.

use super::{contiguous, dims, tensor, tile::COLUMNS, weights};
use crate::{embedding::EmbeddingOps, packed::Operand};
use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::DType,
};

impl EmbeddingOps for Flex {
    fn packed_embedding(ids: FlexTensor, words: FlexTensor, operand: Operand) -> FlexTensor {
        let ids = contiguous(ids);
        let [batch, tokens] = dims(&ids);
        let table = weights(&words);
        let row = |id: usize| {
            let id = id.min(operand.rows - 1);
            let first = id / COLUMNS * operand.columns * COLUMNS + id % COLUMNS;
            (0..operand.columns).map(move |column| table[first + column * COLUMNS])
        };
        let output: Vec<f32> = match ids.dtype() {
            DType::I64 => ids.as_slice::<i64>().into_iter().flatten().flat_map(|&id| row(id as usize)).collect(),
            _ => ids.as_slice::<i32>().into_iter().flatten().flat_map(|&id| row(id as usize)).collect(),
        };
        tensor(output, [batch, tokens, operand.columns])
    }
}
