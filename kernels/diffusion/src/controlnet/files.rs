//! The files of a ControlNet, and putting it on a device.

use super::{ControlNetConfig, ControlNetModel};
use crate::{
    config::ConfigError,
    nn::{BuilderRoot, LoadError},
    pipeline::Component,
};
use burn::tensor::Device;
use thiserror::Error;
use weights::WeightsError;

/// A ControlNet that cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadControlNetError {
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights do not fit.
    #[error("could not load the weights of the ControlNet")]
    Weights(#[from] LoadError),
}

/// A ControlNet whose files cannot be gathered.
#[derive(Debug, Error)]
pub enum ControlNetFilesError {
    /// A file could not be read.
    #[error("could not read `{file}`; a ControlNet's folder has config.json and diffusion_pytorch_model.safetensors")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The weights are not usable.
    #[error("could not open the weights in `{file}`")]
    Weights {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: WeightsError,
    },
    /// The file is something else.
    #[error("`{file}` is no ControlNet: {reason}")]
    Unknown {
        /// The file.
        file: String,
        /// What it lacks.
        reason: String,
    },
}

/// What a ControlNet is built from.
pub struct ControlNetFiles {
    /// `config.json`.
    pub config: String,
    /// The weights.
    pub weights: Component,
}

impl ControlNetFiles {
    /// Puts the network on a device; `keep_quantised` as in [`crate::pipeline::LoadOptions`].
    ///
    /// # Errors
    /// [`LoadControlNetError`] with everything that is wrong with it.
    pub fn load(&self, device: &Device, keep_quantised: bool) -> Result<ControlNetModel, LoadControlNetError> {
        let config = ControlNetConfig::from_json(&self.config)?;
        let Component { source, prefix } = &self.weights;
        // Its layers are called as the denoiser's, and both keep what they make of one prompt.
        let root = BuilderRoot::from_checkpoint(&**source, device, keep_quantised).with_fresh_identities();
        let model = ControlNetModel::new(&root.root(prefix), &config)?;
        root.finish(prefix)?;
        Ok(model)
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod folder {
    use super::{Component, ControlNetFiles, ControlNetFilesError};
    use crate::controlnet::single_file;
    use std::{fs, path::Path, rc::Rc};
    use weights::TensorSource;

    const WEIGHTS: [&str; 6] = [
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.fp16.safetensors.index.json",
        "diffusion_pytorch_model.gguf",
        "diffusion_pytorch_model.bin",
    ];

    fn open(path: &Path) -> Result<Rc<dyn TensorSource>, ControlNetFilesError> {
        let file = path.display().to_string();
        let source = weights::open_path(path).map_err(|source| ControlNetFilesError::Weights { file, source })?;
        Ok(Rc::from(source))
    }

    impl ControlNetFiles {
        /// A ControlNet in diffusers' folder layout, or in one file, whose configuration follows from its tensors.
        ///
        /// # Errors
        /// [`ControlNetFilesError`] naming the file.
        pub fn open(path: &Path) -> Result<Self, ControlNetFilesError> {
            if path.is_dir() {
                return Self::from_folder(path);
            }
            let source = open(path)?;
            single_file::open(&source)
                .map_err(|reason| ControlNetFilesError::Unknown { file: path.display().to_string(), reason })
        }

        fn from_folder(folder: &Path) -> Result<Self, ControlNetFilesError> {
            let config = folder.join("config.json");
            let file = config.display().to_string();
            let config = fs::read_to_string(config).map_err(|source| ControlNetFilesError::Io { file, source })?;
            let weights = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            let source = open(&weights.unwrap_or_else(|| folder.join(WEIGHTS[0])))?;
            Ok(Self { config, weights: Component { source, prefix: String::new() } })
        }
    }
}
