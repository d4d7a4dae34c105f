//! A run that was stopped goes on as if it had not been.

use super::{options, state};
use std::path::Path;
use trainer::train_demo;

/// Runs one sitting, which ends after the step that `stop` says.
fn sitting(out: &Path, stop: Option<(&str, u64)>) {
    let options = options(out);
    let cancel = options.cancel.clone();
    train_demo(&options, &mut |report| {
        if stop == Some((report.stage, report.step)) {
            cancel.cancel();
        }
    })
    .expect("the sitting ends well");
}

fn values(file: &Path) -> Vec<(String, Vec<f32>)> {
    let source = weights::open_path(file).expect("the model was written");
    source
        .tensors()
        .iter()
        .map(|info| (info.name.clone(), source.read(&info.name).expect("the tensor is whole").to_f32()))
        .collect()
}

#[test]
fn stopped_and_continued_gives_the_same_weights_and_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, stopped) = (folder.path().join("straight"), folder.path().join("stopped"));
    sitting(&straight, None);
    sitting(&stopped, Some(("autoencoder", 2)));
    assert!(!stopped.join("denoiser.json").exists());
    sitting(&stopped, Some(("taesd", 3)));
    sitting(&stopped, Some(("denoiser", 1)));
    sitting(&stopped, None);

    for stage in ["autoencoder", "taesd", "denoiser"] {
        let (a, b) = (state(&straight, stage), state(&stopped, stage));
        assert_eq!(a["step"], b["step"]);
        let (a, b) = (a["loss"].as_f64().unwrap(), b["loss"].as_f64().unwrap());
        assert!((a - b).abs() < 1e-6 * a.abs(), "{stage}: {a} and {b}");
    }
    for part in ["unet", "vae", "taesd"] {
        let file = format!("model/{part}/diffusion_pytorch_model.safetensors");
        for ((name, a), (_, b)) in values(&straight.join(&file)).iter().zip(values(&stopped.join(&file))) {
            let difference = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference < 1e-6, "{name} differs by {difference}");
        }
    }
}
