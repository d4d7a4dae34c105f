//! Names in files of low-rank adaptations, and the modules of a model that they reach.

use weights::{
    Dtype, RawTensor, TensorInfo, TensorSource, WeightsError,
    lora::{LoraKey, ModuleNames, Part},
};

/// A line that begins so names a tensor of the denoiser.
const UNET: &str = "unet:";
/// A line that begins so names a tensor of the text encoder.
const TEXT: &str = "text:";
/// A line that begins so names a tensor of the second text encoder.
const TEXT_2: &str = "text2:";

/// A line that begins so says what the names of all three begin with.
const PREFIX: &str = "prefix:";

/// Names alone.
struct Names(Vec<TensorInfo>);

impl TensorSource for Names {
    fn tensors(&self) -> &[TensorInfo] {
        &self.0
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        Err(WeightsError::UnknownTensor { name: name.to_owned() })
    }

    fn metadata(&self, _key: &str) -> Option<&str> {
        None
    }
}

impl Names {
    /// The tensors of the lines that begin with `start`, each of as many dimensions as its name has dots.
    fn of(text: &str, start: &str) -> Self {
        let tensors = text.lines().filter_map(|line| line.strip_prefix(start)).map(|name| {
            let shape: Vec<usize> = name.bytes().filter(|byte| *byte == b'.').take(4).map(|_| 2).collect();
            let bytes = 4 << shape.len();
            TensorInfo { name: name.to_owned(), dtype: Dtype::F32, shape, offset: 0, bytes }
        });
        Self(tensors.collect())
    }

    fn part<'a>(&'a self, prefix: &'a str) -> Part<'a> {
        Part { source: self, prefix }
    }
}

/// Reads lines: tensors of a model (`unet:`, `text:`, `text2:`, their `prefix:`), and keys of an adaptation.
///
/// # Panics
/// Where a promise is broken, as every target does.
pub fn lora_keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let [unet, first, second] = [UNET, TEXT, TEXT_2].map(|start| Names::of(&text, start));
    let has_second = !second.0.is_empty();
    let prefix = text.lines().find_map(|line| line.strip_prefix(PREFIX)).unwrap_or_default();
    let names = ModuleNames::new(unet.part(prefix), first.part(prefix), has_second.then(|| second.part(prefix)));
    for line in text.lines() {
        if let Some(LoraKey { module, .. }) = LoraKey::parse(line) {
            assert!(!module.is_empty() && module.len() <= line.len() + 2, "{line} is of {module}");
            check(&names, &module, [&unet, &first, &second]);
        }
        check(&names, line, [&unet, &first, &second]);
    }
}

/// What a spelling leads to is in the model.
fn check(names: &ModuleNames, spelling: &str, parts: [&Names; 3]) {
    if let Some(module) = names.get(spelling) {
        let info = parts.iter().find_map(|part| part.0.iter().find(|info| info.name == module.tensor));
        let info = info.expect("a module is a tensor of the model");
        assert_eq!(module.rows * module.columns, info.elements() as usize);
        assert_eq!(module.columns % module.kernel, 0);
    }
}
