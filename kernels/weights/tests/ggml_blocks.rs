//! Every block format against the reference's own reader (`data/make.py`).

use weights::{Dtype, SafetensorsFile, TensorSource as _, dequantise};

#[test]
fn every_block_format_is_unpacked_bit_for_bit() {
    let file = SafetensorsFile::open(include_bytes!("data/ggml-blocks.safetensors").to_vec()).unwrap();
    let kinds = [Dtype::Q8_0, Dtype::Q4_0, Dtype::Q4_1, Dtype::Q5_0, Dtype::Q5_1, Dtype::Q4K, Dtype::Q5K, Dtype::Q6K];
    for kind in kinds {
        let bytes = file.read(&format!("{kind}.bytes")).unwrap().bytes;
        let expected = file.read(&format!("{kind}.values")).unwrap().to_f32();
        let found = dequantise(kind, &bytes);
        let bits = |values: &[f32]| values.iter().map(|value| (value + 0.0).to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&found), bits(&expected), "{kind}");
    }
}
