//! Other adapters on a loaded model.

use super::{LoadModelError, Loading, ModelFiles, StableDiffusion};

impl StableDiffusion {
    /// Takes other adapters, or none: `files` are those that the model was loaded from, with the new ones
    /// [over](crate::adapters::Adapters::over) them.
    ///
    /// Tensors that neither the old nor the new ones touch stay on the device as they are; the others are read from the files, so
    /// that without adapters the model has its files' own bytes again. Where this fails, the model is what it was.
    ///
    /// # Errors
    /// [`LoadModelError`] naming the part and everything that is wrong with it.
    pub fn adapt(&mut self, files: &ModelFiles) -> Result<(), LoadModelError> {
        let device = self.device.clone();
        *self = Loading::new(files, &device, self.options)?.keeping(self.kept.next()).finish()?;
        Ok(())
    }
}
