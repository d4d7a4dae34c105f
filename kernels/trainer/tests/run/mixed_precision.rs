//! Products in halves train as products in f32 do.

use super::{options, state};
use trainer::{MixedPrecision, train_demo};

/// Loss of both stages after a few steps.
fn losses(mixed_precision: MixedPrecision) -> [serde_json::Value; 2] {
    let folder = tempfile::tempdir().expect("a folder");
    let options = trainer::TrainOptions { mixed_precision, ..options(folder.path()) };
    train_demo(&options, &mut |_| ()).expect("the run ends well");
    ["autoencoder", "denoiser"].map(|stage| state(folder.path(), stage))
}

#[test]
fn halves_give_nearly_the_loss_of_f32() {
    let full = losses(MixedPrecision::No);
    for (precision, allowed) in [(MixedPrecision::Bf16, 2e-2), (MixedPrecision::Fp16, 5e-3)] {
        for (full, half) in full.iter().zip(losses(precision)) {
            let (a, b) = (full["loss"].as_f64().unwrap(), half["loss"].as_f64().unwrap());
            assert!((a - b).abs() < allowed * a, "{precision:?}: {b} instead of {a}");
            assert!(a.to_bits() != b.to_bits(), "{precision:?} was not used");
            let factor = half["loss_scale"]["factor"].as_f64();
            assert_eq!(factor, (precision == MixedPrecision::Fp16).then_some(65536.0), "a step was left out");
        }
    }
}
