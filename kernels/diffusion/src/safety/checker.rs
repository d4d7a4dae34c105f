//! Pictures in, verdicts out.

use super::{Censor, SafetyConfig, SafetyModel, SafetyOutput, Thresholds, Verdict, censored, clip_input, config::PART};
use crate::{
    config::ConfigError,
    nn::{BuilderRoot, LoadError},
    picture::Picture,
    pipeline::Component,
};
use burn::tensor::{Device, ExecutionError, Tensor};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};
use thiserror::Error;

/// A checker that cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadCheckerError {
    /// A file of it is not there.
    #[error(
        "`{0}` is missing; a safety checker is a folder with config.json and model.safetensors, or a model folder that has one as safety_checker"
    )]
    Missing(String),
    /// A file could not be read.
    #[error("could not read `{file}`")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The weights file is not usable.
    #[error("could not open the weights in `{file}`")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: weights::WeightsError,
    },
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights do not fit.
    #[error("could not load the weights of the safety checker")]
    Weights(#[from] LoadError),
}

/// Why a picture was not judged.
#[derive(Debug, Error)]
pub enum CheckError {
    /// There is nothing to look at.
    #[error("a picture of {width} x {height} pixels and {bytes} bytes cannot be judged")]
    Picture {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes it holds.
        bytes: usize,
    },
    /// The device failed.
    #[error("the safety checker's device failed: {0:?}")]
    Device(ExecutionError),
    /// The network gave no numbers.
    #[error("the safety checker gave no usable scores")]
    Scores,
    /// It panicked.
    #[error("the safety checker broke off")]
    Panicked,
}

/// The files of a checker.
pub struct SafetyFiles {
    /// `config.json`.
    pub config: String,
    /// The weights.
    pub weights: Component,
}

/// What becomes of a flagged picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFlagged {
    /// Another one of its size is shown.
    Show(Censor),
    /// None is.
    Withhold,
}

/// A picture that was judged.
#[derive(Debug)]
pub struct Reviewed {
    /// What may be shown: itself, or what stands in its place.
    pub picture: Option<Picture>,
    /// Whether it was flagged.
    pub is_flagged: bool,
    /// Why it could not be judged, which flags it.
    pub error: Option<CheckError>,
}

/// A loaded checker.
#[derive(Debug)]
pub struct SafetyChecker {
    model: SafetyModel,
    side: usize,
    device: Device,
    device_bytes: u64,
}

impl SafetyChecker {
    /// Puts a checker on a device.
    ///
    /// # Errors
    /// [`LoadCheckerError`] with everything that is wrong with it.
    pub fn load(files: &SafetyFiles, device: &Device) -> Result<Self, LoadCheckerError> {
        let config: SafetyConfig =
            serde_json::from_str(&files.config).map_err(|source| ConfigError::Json { part: PART, source })?;
        let Component { source, prefix } = &files.weights;
        let root = BuilderRoot::from_checkpoint(&**source, device, false);
        let model = SafetyModel::new(&root.root(prefix), &config)?;
        root.finish(prefix)?;
        let side = config.vision_config.image_size;
        Ok(Self { model, side, device: device.clone(), device_bytes: root.device_bytes() })
    }

    /// Bytes of the weights as they lie on the device.
    pub const fn device_bytes(&self) -> u64 {
        self.device_bytes
    }

    /// What the network holds of a picture.
    ///
    /// # Errors
    /// [`CheckError`] where it cannot say; such a picture must not be shown.
    pub async fn judge(&self, picture: &Picture) -> Result<Verdict, CheckError> {
        let Picture { width, height, rgb } = picture;
        let bytes = rgb.len();
        if bytes == 0 || bytes != 3 * *width as usize * *height as usize {
            return Err(CheckError::Picture { width: *width, height: *height, bytes });
        }
        let input = clip_input(picture, self.side, &self.device);
        let SafetyOutput { special_scores, concept_scores, .. } = self.model.forward(input);
        let thresholds = Thresholds {
            special: values(self.model.special_care_embeds_weights.val()).await?,
            concepts: values(self.model.concept_embeds_weights.val()).await?,
        };
        let verdict = Verdict::of(&values(special_scores).await?, &values(concept_scores).await?, &thresholds);
        if verdict.margin.is_nan() { Err(CheckError::Scores) } else { Ok(verdict) }
    }

    /// Pictures as they may be shown, one after the other; whatever goes wrong flags a picture.
    pub async fn review(&self, pictures: Vec<Picture>, on_flagged: OnFlagged) -> Vec<Reviewed> {
        let mut reviewed = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let judged = caught(Box::pin(self.judge(&picture))).await;
            reviewed.push(Reviewed::new(picture, judged, on_flagged));
        }
        reviewed
    }
}

impl Reviewed {
    fn new(picture: Picture, judged: Result<Verdict, CheckError>, on_flagged: OnFlagged) -> Self {
        let (verdict, error) = match judged {
            Ok(verdict) => (verdict, None),
            Err(error) => (Verdict::NONE, Some(error)),
        };
        let is_flagged = verdict.is_flagged();
        let picture = match on_flagged {
            _ if !is_flagged => Some(picture),
            OnFlagged::Show(censor) => Some(censored(&picture, censor)),
            OnFlagged::Withhold => None,
        };
        Self { picture, is_flagged, error }
    }
}

/// The numbers of a tensor.
async fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, CheckError> {
    let data = tensor.into_data_async().await.map_err(CheckError::Device)?;
    Ok(data.iter::<f32>().collect())
}

/// The future's output, or an error where it panics.
async fn caught<T>(future: impl Future<Output = Result<T, CheckError>>) -> Result<T, CheckError> {
    let mut future = pin!(future);
    poll_fn(move |context| {
        // What a panic leaves half done is the future's own, which is not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or(Poll::Ready(Err(CheckError::Panicked)))
    })
    .await
}

#[cfg(not(target_arch = "wasm32"))]
mod folder {
    use super::{LoadCheckerError, SafetyFiles};
    use crate::pipeline::Component;
    use std::{fs, path::Path, rc::Rc};

    /// Names of the weights, full precision first; a pickle is opened only to be refused with a reason.
    const NAMES: [&str; 3] = ["model.safetensors", "model.fp16.safetensors", "pytorch_model.bin"];

    impl SafetyFiles {
        /// A checker's own folder, or a model's folder that has one.
        ///
        /// # Errors
        /// [`LoadCheckerError`] naming the file.
        pub fn open(folder: &Path) -> Result<Self, LoadCheckerError> {
            let inner = folder.join("safety_checker");
            let folder = if inner.is_dir() { &inner } else { folder };
            let missing = |name: &str| LoadCheckerError::Missing(folder.join(name).display().to_string());
            let path = folder.join("config.json");
            if !path.is_file() {
                return Err(missing("config.json"));
            }
            let config = fs::read_to_string(&path)
                .map_err(|source| LoadCheckerError::Io { file: path.display().to_string(), source })?;
            let path = NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            let path = path.ok_or_else(|| missing(NAMES[0]))?;
            let source = weights::open_path(&path)
                .map_err(|source| LoadCheckerError::File { file: path.display().to_string(), source })?;
            Ok(Self { config, weights: Component { source: Rc::from(source), prefix: String::new() } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture { width: 2, height: 1, rgb: vec![1, 2, 3, 4, 5, 6] }
    }

    #[test]
    fn a_picture_is_shown_by_a_clear_verdict_alone() {
        let of = |judged| Reviewed::new(picture(), judged, OnFlagged::Show(Censor::Black));
        let clear = of(Ok(Verdict { margin: -0.1, is_special: false }));
        assert!(!clear.is_flagged && clear.picture == Some(picture()));
        for judged in [
            Ok(Verdict { margin: 0.001, is_special: false }),
            Ok(Verdict::NONE),
            Err(CheckError::Scores),
            Err(CheckError::Panicked),
        ] {
            let flagged = of(judged);
            assert!(flagged.is_flagged);
            assert_eq!(flagged.picture.map(|picture| picture.rgb), Some(vec![0; 6]));
        }
        let withheld = Reviewed::new(picture(), Err(CheckError::Panicked), OnFlagged::Withhold);
        assert!(withheld.is_flagged && withheld.picture.is_none() && withheld.error.is_some());
    }

    #[test]
    fn a_panic_is_an_error() {
        let panics = async { if picture().width == 2 { panic!("asked to") } else { Ok(()) } };
        assert!(matches!(pollster::block_on(caught(panics)), Err(CheckError::Panicked)));
        assert!(pollster::block_on(caught(async { Ok(7) })).is_ok_and(|seven| seven == 7));
    }
}
