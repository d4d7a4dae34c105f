//! Channels into pixels and back (Shi et al., 2016).

use burn::tensor::Tensor;

/// # Shapes
///
/// - input: `[batch, channels * factor * factor, height, width]`
/// - output: `[batch, channels, height * factor, width * factor]`
pub(super) fn pixel_shuffle(input: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let channels = channels / (factor * factor);
    let split: Tensor<6> = input.reshape([batch, channels, factor, factor, height, width]);
    split.permute([0, 1, 4, 2, 5, 3]).reshape([batch, channels, height * factor, width * factor])
}

/// # Shapes
///
/// - input: `[batch, channels, height, width]`, both sides divisible by `factor`
/// - output: `[batch, channels * factor * factor, height / factor, width / factor]`
pub(super) fn pixel_unshuffle(input: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let (rows, columns) = (height / factor, width / factor);
    let split: Tensor<6> = input.reshape([batch, channels, rows, factor, columns, factor]);
    split.permute([0, 1, 3, 5, 2, 4]).reshape([batch, channels * factor * factor, rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn shuffling_takes_each_pixel_from_a_channel_of_its_own() {
        let values = (0..16).map(|value| value as f32).collect::<Vec<_>>();
        let input = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, 4, 2, 2]), &Device::flex());
        let shuffled = pixel_shuffle(input, 2);
        let first: Vec<f32> = shuffled.clone().into_data().try_to_vec().unwrap();
        assert_eq!(first[..8], [0.0, 4.0, 1.0, 5.0, 8.0, 12.0, 9.0, 13.0]);
        let back: Vec<f32> = pixel_unshuffle(shuffled, 2).into_data().try_to_vec().unwrap();
        assert_eq!(back, values);
    }
}
