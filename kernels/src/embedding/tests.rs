use super::embedding;
use crate::{
    packed::{Format, PackedWeight, RowOrder},
    testing::{self, device, matrix, unpacked},
};
use burn::tensor::{Int, Tensor, TensorData};

#[test]
fn it_reads_the_rows_of_every_format() {
    let Some(device) = device() else { return };
    let (rows, columns) = (21, 96);
    let ids = [[0_i32, 20, 7], [8, 3, 15]];
    for format in [Format::F32, Format::F16, Format::Q8, Format::Q4] {
        let bytes = matrix(format, rows, columns);
        let values = unpacked(&bytes, format);
        let expected: Vec<f32> =
            ids.iter().flatten().flat_map(|&id| values[id as usize * columns..][..columns].to_vec()).collect();
        let weight = PackedWeight::new(&bytes, format, [rows, columns], RowOrder::Straight, &device);
        let flat: Vec<i32> = ids.iter().flatten().copied().collect();
        let found = embedding(Tensor::<2, Int>::from_data(TensorData::new(flat, [2, 3]), &device), &weight);
        assert!(testing::error(found, &expected) < 1e-6, "{format:?}");
    }
}
