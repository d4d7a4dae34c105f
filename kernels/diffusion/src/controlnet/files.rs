//! The files of a ControlNet, and putting it on a device.

use super::{ControlNetConfig, ControlNetModel};
use crate::{
    config::ConfigError,
    nn::{BuilderRoot, LoadError},
    pipeline::Component,
};
use burn::tensor::Device;
use thiserror::Error;

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
