//! What survives a kill: weights, their average, the optimiser's state and where the run was.

use crate::{
    TrainError,
    average::{Parameters, named},
    mixed_precision::LossScale,
};
use burn::{module::ParamId, optim::ModuleOptimizer};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::BufWriter,
    path::{Path, PathBuf},
};
use weights::{Dtype, TensorView, write_safetensors};

/// Where a stage was when it was saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps taken.
    pub step: u64,
    /// Seconds spent in steps.
    pub seconds: f64,
    /// Loss, averaged over the last steps.
    pub loss: f64,
    /// Where products are fp16: what the loss is multiplied by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

/// A stage's files in the run's folder.
pub struct Checkpoint {
    folder: PathBuf,
    stage: &'static str,
}

impl Checkpoint {
    /// The checkpoint of a stage; nothing is read or written yet.
    pub fn new(folder: &Path, stage: &'static str) -> Self {
        Self { folder: folder.to_owned(), stage }
    }

    /// The weights' file.
    pub fn weights(&self) -> PathBuf {
        self.folder.join(format!("{}.safetensors", self.stage))
    }

    /// The averaged weights' file.
    pub fn average(&self) -> PathBuf {
        self.folder.join(format!("{}.ema.safetensors", self.stage))
    }

    fn state_file(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.stage))
    }

    fn optimiser_file(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{}.optimiser-{step}.bpk", self.stage))
    }

    /// Where the stage was, if it was ever saved.
    ///
    /// # Errors
    /// [`TrainError`] when the file is there but cannot be read.
    pub fn state(&self) -> Result<Option<State>, TrainError> {
        let path = self.state_file();
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TrainError::file(&path)(error)),
        }
    }

    /// Saves everything; the state file is replaced last, and points to files that are complete.
    ///
    /// # Errors
    /// [`TrainError`] naming the file.
    pub fn save(
        &self,
        state: State,
        names: &[(ParamId, String)],
        current: &Parameters,
        average: &Parameters,
        optimiser: &ModuleOptimizer,
    ) -> Result<(), TrainError> {
        let old = self.state()?;
        optimiser.save(self.optimiser_file(state.step)).map_err(|error| TrainError::Optimiser(error.to_string()))?;
        write(&self.weights(), names, current)?;
        write(&self.average(), names, average)?;
        replace(&self.state_file(), &serde_json::to_vec(&state)?)?;
        if let Some(old) = old.filter(|old| old.step != state.step) {
            // An optimiser file that is left behind costs only room.
            drop(fs::remove_file(self.optimiser_file(old.step)));
        }
        Ok(())
    }

    /// Gives a new optimiser the saved state.
    ///
    /// # Errors
    /// [`TrainError::Optimiser`] when the file cannot be read.
    pub fn load_optimiser(&self, state: State, optimiser: ModuleOptimizer) -> Result<ModuleOptimizer, TrainError> {
        optimiser.load(self.optimiser_file(state.step)).map_err(|error| TrainError::Optimiser(error.to_string()))
    }
}

/// Writes named parameters as safetensors in f32.
pub fn write(path: &Path, names: &[(ParamId, String)], parameters: &Parameters) -> Result<(), TrainError> {
    let owned: Vec<(&str, &[usize], Vec<u8>)> = named(parameters, names)
        .map(|(name, shape, value)| {
            let bytes = value.to_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
            (name, shape, bytes)
        })
        .collect();
    let views =
        owned.iter().map(|(name, shape, bytes)| TensorView { name, dtype: Dtype::F32, shape, bytes: bytes.as_slice() });
    let mut buffer = Vec::new();
    write_safetensors(BufWriter::new(&mut buffer), views, &BTreeMap::new())?;
    replace(path, &buffer)
}

/// Replaces a file in one step, so that a kill leaves the old or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, bytes).map_err(TrainError::file(&temporary))?;
    fs::rename(&temporary, path).map_err(TrainError::file(path))
}
